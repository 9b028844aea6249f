package report

import (
	"fmt"
	"io"

	"github.com/postdate/postdate/bench/rig"
)

// Hanging is of a tenant whose receivers do not answer, which others are not to notice.
type Hanging struct {
	HangingMessages int `json:"hanging_messages"`
	// HangingInFlight is the most that those receivers had at once.
	HangingInFlight int        `json:"hanging_in_flight_max"`
	AloneLatenessMS *Quantiles `json:"alone_lateness_ms"`
	// AloneRatio is the other tenant's p99 beside them over that without them.
	AloneRatio float64 `json:"alone_p99_ratio"`
}

// HangingOf compares the other tenant's messages with those that were alone.
func HangingOf(beside, alone []*rig.Message) *Hanging {
	h := &Hanging{AloneLatenessMS: LatenessOf(alone)}
	if p := LatenessOf(beside); p != nil && h.AloneLatenessMS != nil && h.AloneLatenessMS.P99 > 0 {
		h.AloneRatio = Hundredths(p.P99 / h.AloneLatenessMS.P99)
	}
	return h
}

func (h *Hanging) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d messages of another tenant went to receivers that do not answer, at most %d at once\n",
		r.Scenario, r.System, h.HangingMessages, h.HangingInFlight)
	if alone := h.AloneLatenessMS; alone != nil {
		fmt.Fprintf(w, "  lateness without them: %.0f ms p50, %.0f ms p99; beside them p99 × %.2f\n", alone.P50, alone.P99, h.AloneRatio)
	}
}
