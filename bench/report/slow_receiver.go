package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
)

// SlowReceiver is of a receiver that cannot keep up. What a scenario does not
// measure is left out.
type SlowReceiver struct {
	*Outage
	*RateLimit

	SlowMessages   int `json:"slow_messages"`
	SlowDuplicates int `json:"slow_duplicates"`
	// InFlight is the most that the slow receiver had at once, before its limits were
	// lifted.
	InFlight int `json:"slow_in_flight_max"`
	// Waiting is how many waited when the streams ended, by the endpoint's health.
	Waiting int `json:"slow_waiting,omitempty"`
	// DrainedPerS is while many wait, and DrainedPart that in parts of what the
	// receiver could take.
	DrainedPerS float64 `json:"slow_drained_per_s,omitempty"`
	DrainedPart float64 `json:"slow_drained_part,omitempty"`
	// OpenedPerS is how fast the queue empties into a receiver that answers at once.
	OpenedPerS float64 `json:"opened_drained_per_s,omitempty"`

	FastAloneMS *Quantiles `json:"fast_alone_receipt_ms,omitempty"`
	// FastRatio is the fast stream's p99 beside the slow one over that without it.
	FastRatio float64 `json:"fast_p99_ratio,omitempty"`

	// Transitions are Temporal's state transitions, by workflow; TransitionsPerWaiting
	// is a waiting delivery's share of them.
	Transitions           map[string]float64 `json:"state_transitions,omitempty"`
	TransitionsPerWaiting float64            `json:"state_transitions_per_waiting,omitempty"`
	// CPUMSPerSlow is from accepted to delivered, of all processes, without what the
	// fast stream takes alone.
	CPUMSPerSlow float64 `json:"cpu_ms_per_slow,omitempty"`
}

// Outage is of a receiver that answers 503 for a while.
type Outage struct {
	OutageS        float64 `json:"outage_s"`
	OutageAttempts int     `json:"outage_attempts"`
	// BackAfterS is from when it was back to the next attempt, and RecoveredS to when
	// all was delivered.
	BackAfterS float64 `json:"back_after_s"`
	RecoveredS float64 `json:"recovered_s"`
	// The attempts in the 5 s from the first that it accepted again.
	BackAttempts int `json:"back_attempts_5s"`
	BackInFlight int `json:"back_in_flight_max_5s"`
}

// RateLimit is of an endpoint with a rate limit, while many wait.
type RateLimit struct {
	MostIn10S   int `json:"most_in_10s"`
	FewestIn10S int `json:"fewest_in_10s"`
}

func (s *SlowReceiver) write(w io.Writer, r *Result) {
	fmt.Fprintf(w, "\n%s, %s: %d messages to a receiver that cannot keep up, %d more than once\n", r.Scenario, r.System, s.SlowMessages, s.SlowDuplicates)
	fmt.Fprintf(w, "  in flight: at most %d\n", s.InFlight)
	if s.FastAloneMS != nil {
		s.writeBeside(w, r.ReceiptMS)
	}
	if o := s.Outage; o != nil {
		fmt.Fprintf(w, "  attempts while it answers 503 (%.0f s): %d\n", o.OutageS, o.OutageAttempts)
		fmt.Fprintf(w, "  back again: the first after %.1f s; in the 5 s from then %d attempts, %d at once; all delivered %.0f s after it was back\n",
			o.BackAfterS, o.BackAttempts, o.BackInFlight, o.RecoveredS)
	}
	if l := s.RateLimit; l != nil {
		fmt.Fprintf(w, "  in any 10 s: at most %d, at least %d\n", l.MostIn10S, l.FewestIn10S)
	}
}

// writeBeside prints what the fast stream noticed of the slow one, and what that cost.
func (s *SlowReceiver) writeBeside(w io.Writer, fast *Quantiles) {
	fmt.Fprintf(w, "  the other endpoint: %.0f ms p50, %.0f ms p99; without the slow stream %.0f and %.0f: × %.2f\n",
		fast.P50, fast.P99, s.FastAloneMS.P50, s.FastAloneMS.P99, s.FastRatio)
	fmt.Fprintf(w, "  drained: %.2f/s with %d waiting, × %.2f of what it could take; %.0f/s once it answers at once\n", s.DrainedPerS, s.Waiting, s.DrainedPart, s.OpenedPerS)
	fmt.Fprintf(w, "  engine: %.2f state transitions for each that waits (", s.TransitionsPerWaiting)
	for _, workflow := range slices.Sorted(maps.Keys(s.Transitions)) {
		fmt.Fprintf(w, " %s %.0f", workflow, s.Transitions[workflow])
	}
	fmt.Fprintf(w, " ); %.2f CPU ms each\n", s.CPUMSPerSlow)
}
