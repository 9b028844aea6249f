package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// overloadFigures is what comes of a receiver that cannot keep up. What a
// scenario does not measure stays out of it.
type overloadFigures struct {
	*outageFigures
	*rateFigures

	SlowMessages   int `json:"slow_messages"`
	SlowDuplicates int `json:"slow_duplicates"`
	// InFlight is the most that the slow receiver saw at once, before the gates
	// were opened.
	InFlight int `json:"slow_in_flight_max"`
	// Waiting is how many waited when the streams ended, as health has it.
	Waiting int `json:"slow_waiting,omitempty"`
	// DrainedPerS is while many wait, and DrainedPart that in parts of what the
	// receiver could take.
	DrainedPerS float64 `json:"slow_drained_per_s,omitempty"`
	DrainedPart float64 `json:"slow_drained_part,omitempty"`
	// OpenedPerS is how fast the queue empties into a receiver that answers at once.
	OpenedPerS float64 `json:"opened_drained_per_s,omitempty"`

	FastAloneMS *quantiles `json:"fast_alone_receipt_ms,omitempty"`
	// FastRatio is the fast stream's p99 beside the slow one over that without it.
	FastRatio float64 `json:"fast_p99_ratio,omitempty"`

	// Transitions are the engine's, by workflow: TransitionsPerWaiting is a waiting
	// delivery's share of them.
	Transitions           map[string]float64 `json:"state_transitions,omitempty"`
	TransitionsPerWaiting float64            `json:"state_transitions_per_waiting,omitempty"`
	// CPUMSPerSlow is from accepted to delivered, of all processes, without what
	// the fast stream takes when it is alone.
	CPUMSPerSlow float64 `json:"cpu_ms_per_slow,omitempty"`

	before, alone time.Duration // CPU time: before the slow stream, and of the fast one alone
	early         int           // slow messages that came while the streams lasted
}

// measureDrain is of a time in which many waited.
func (f *overloadFigures) measureDrain(all calls, from, to time.Time) {
	f.DrainedPerS = hundredths(all.work(from, to) / to.Sub(from).Seconds())
	f.DrainedPart = hundredths(f.DrainedPerS / (slowInFlight / slowTakes.Seconds()))
}

// compare puts the fast stream beside itself.
func (f *overloadFigures) compare(alone, beside []*item) {
	f.FastAloneMS = quantilesOf(receipts(alone))
	if with := quantilesOf(receipts(beside)); with != nil && f.FastAloneMS != nil && f.FastAloneMS.P99 > 0 {
		f.FastRatio = hundredths(with.P99 / f.FastAloneMS.P99)
	}
}

func receipts(items []*item) []time.Duration {
	times := make([]time.Duration, 0, len(items))
	for _, i := range items {
		times = append(times, i.received.Sub(i.sent))
	}
	return times
}

// perWaiting shares out the engine's work. Those that came while the streams
// lasted do not count as waiting, though most of them did. Of what carries both
// streams the slow one has its part; it alone goes in line.
func (f *overloadFigures) perWaiting(fast int) {
	waited := float64(max(1, f.SlowMessages-f.early))
	own := f.Transitions["Line"] + f.Transitions["Deliver"] + f.Transitions["Endpoint"]
	f.TransitionsPerWaiting = hundredths(own/waited + f.Transitions["Dispatch"]/float64(f.SlowMessages+fast))
}

func (r *result) writeOverload(w io.Writer) {
	f := r.overloadFigures
	fmt.Fprintf(w, "\n%s, %s: %d messages to a receiver that cannot keep up, %d more than once\n", r.Scenario, r.Engine, f.SlowMessages, f.SlowDuplicates)
	fmt.Fprintf(w, "  in flight: at most %d\n", f.InFlight)
	if f.FastAloneMS != nil {
		fmt.Fprintf(w, "  the other endpoint: %.0f ms p50, %.0f ms p99; without the slow stream %.0f and %.0f: × %.2f\n",
			r.ReceiptMS.P50, r.ReceiptMS.P99, f.FastAloneMS.P50, f.FastAloneMS.P99, f.FastRatio)
		fmt.Fprintf(w, "  drained: %.2f/s with %d waiting, × %.2f of what it could take; %.0f/s once it answers at once\n", f.DrainedPerS, f.Waiting, f.DrainedPart, f.OpenedPerS)
		fmt.Fprintf(w, "  engine: %.2f state transitions for each that waits (", f.TransitionsPerWaiting)
		for _, kind := range slices.Sorted(maps.Keys(f.Transitions)) {
			fmt.Fprintf(w, " %s %.0f", kind, f.Transitions[kind])
		}
		fmt.Fprintf(w, " ); %.2f CPU ms each\n", f.CPUMSPerSlow)
	}
	if o := f.outageFigures; o != nil {
		fmt.Fprintf(w, "  attempts while it answers 503 (%.0f s): %d\n", o.OutageS, o.OutageAttempts)
		fmt.Fprintf(w, "  back again: the first after %.1f s; in the 5 s from then %d attempts, %d at once; all delivered %.0f s after it was back\n",
			o.BackAfterS, o.BackAttempts, o.BackInFlight, o.RecoveredS)
	}
	if o := f.rateFigures; o != nil {
		fmt.Fprintf(w, "  in any 10 s: at most %d, at least %d\n", o.MostIn10S, o.FewestIn10S)
	}
}

// overloadTargets is what these scenarios are asked to show.
func overloadTargets() []target {
	of := func(value func(*overloadFigures) float64) func(result) (float64, bool) {
		return func(r result) (float64, bool) {
			if r.overloadFigures == nil {
				return 0, false
			}
			return value(r.overloadFigures), true
		}
	}
	var all []target
	for _, name := range []string{"slow_crm", "slow_crm_3"} {
		all = append(all,
			target{name, "in flight at the slow receiver, at most 10", of(func(f *overloadFigures) float64 { return float64(f.InFlight) }), atMost(slowInFlight)},
			target{name, "times the other endpoint's p99 without the slow stream, at most 1.5", of(func(f *overloadFigures) float64 { return f.FastRatio }), atMost(1.5)},
			target{name, "of what the slow receiver could take, at least 0.95", of(func(f *overloadFigures) float64 { return f.DrainedPart }), atLeast(0.95)},
		)
	}
	return append(all,
		target{"outage", "attempts during the outage, at most 19", of(func(f *overloadFigures) float64 { return float64(f.OutageAttempts) }), atMost(19)},
		target{"outage", "in flight in the first 5 s after it, at most 10", of(func(f *overloadFigures) float64 { return float64(f.BackInFlight) }), atMost(slowInFlight)},
		target{"rate_50", "in any 10 s, at most 510", of(func(f *overloadFigures) float64 { return float64(f.MostIn10S) }), atMost(510)},
		target{"rate_50", "in any 10 s, at least 490", of(func(f *overloadFigures) float64 { return float64(f.FewestIn10S) }), atLeast(490)},
	)
}
