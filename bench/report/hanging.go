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
	// AnsweringLatenessMS is the other tenant's beside as many to receivers that answer at once.
	AnsweringLatenessMS *Quantiles `json:"answering_lateness_ms"`
	// AloneRatio is the other tenant's p99 beside them over that without them.
	AloneRatio float64 `json:"alone_p99_ratio"`
	// AnsweringRatio is the same over that beside those that answer: what hanging adds to
	// the machine's work for so many messages.
	AnsweringRatio float64 `json:"answering_p99_ratio"`
}

// HangingOf compares the other tenant's messages with those that were alone, and with those
// beside receivers that answer.
func HangingOf(alone, answering, beside []*rig.Message) *Hanging {
	h := &Hanging{AloneLatenessMS: LatenessOf(alone), AnsweringLatenessMS: LatenessOf(answering)}
	if p := LatenessOf(beside); p != nil {
		h.AloneRatio, h.AnsweringRatio = p99Ratio(p, h.AloneLatenessMS), p99Ratio(p, h.AnsweringLatenessMS)
	}
	return h
}

func p99Ratio(of, to *Quantiles) float64 {
	if to == nil || to.P99 <= 0 {
		return 0
	}
	return Hundredths(of.P99 / to.P99)
}

func (h *Hanging) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d messages of another tenant went to receivers that do not answer, at most %d at once\n",
		r.Scenario, r.System, h.HangingMessages, h.HangingInFlight)
	if alone := h.AloneLatenessMS; alone != nil {
		fmt.Fprintf(w, "  lateness without them: %.0f ms p50, %.0f ms p99; beside them p99 × %.2f\n", alone.P50, alone.P99, h.AloneRatio)
	}
	if answering := h.AnsweringLatenessMS; answering != nil {
		fmt.Fprintf(w, "  beside as many that are answered at once: %.0f ms p50, %.0f ms p99; p99 × %.2f of that\n",
			answering.P50, answering.P99, h.AnsweringRatio)
	}
}
