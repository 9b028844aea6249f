package report

import (
	"fmt"
	"io"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// Streams is of loads that go to brokers or come from them, beside the same by HTTP.
type Streams struct {
	StreamLoads []StreamLoad `json:"stream_loads"`
}

// StreamLoad is messages that travel one way.
type StreamLoad struct {
	Way      string `json:"way"`
	Messages int    `json:"messages"`
	// TakenPerS is how many records were taken from the broker: all that they ask for was
	// started by then. Zero: they did not come from one.
	TakenPerS     float64    `json:"taken_per_s,omitempty"`
	DeliveredPerS float64    `json:"delivered_per_s"`
	CPUMSEach     float64    `json:"cpu_ms_each"`
	ReceiptMS     *Quantiles `json:"receipt_ms,omitempty"`
	Twice         int        `json:"twice"`
}

// StreamLoadOf is of messages that arrived, from when the first was sent, or written, on.
func StreamLoadOf(way string, messages []*rig.Message, since, taken time.Time, cpu time.Duration) StreamLoad {
	l := StreamLoad{
		Way: way, Messages: len(messages), DeliveredPerS: PerSecond(len(messages), rig.LastReceived(messages).Sub(since)),
		CPUMSEach: MillisEach(cpu, len(messages)), ReceiptMS: ReceiptOf(messages),
	}
	if !taken.IsZero() {
		l.TakenPerS = PerSecond(len(messages), taken.Sub(since))
	}
	for _, m := range messages {
		l.Twice += m.Copies - 1
	}
	return l
}

// Rate is how many messages a second were delivered that travelled that way: 0 where none did.
func (s *Streams) Rate(way string) float64 {
	for _, l := range s.StreamLoads {
		if l.Way == way {
			return l.DeliveredPerS
		}
	}
	return 0
}

func (s *Streams) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s:\n", r.Scenario, r.System)
	for _, l := range s.StreamLoads {
		fmt.Fprintf(w, "  %s: %d messages, ", l.Way, l.Messages)
		if l.TakenPerS > 0 {
			fmt.Fprintf(w, "%.0f/s taken, ", l.TakenPerS)
		}
		fmt.Fprintf(w, "%.0f/s delivered, %.2f CPU ms each, receipt %.0f ms p50, %.0f ms p99; %d twice\n",
			l.DeliveredPerS, l.CPUMSEach, l.ReceiptMS.P50, l.ReceiptMS.P99, l.Twice)
	}
}
