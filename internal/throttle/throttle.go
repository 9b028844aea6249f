// Package throttle decides how much of its pace an endpoint gets, by the results of its
// attempts: it slows the pace down, speeds it up again, and opens and closes the circuit
// breaker. It is arithmetic on values, without clocks, locks or randomness.
package throttle

import (
	"math"
	"time"

	"github.com/postdate/postdate"
)

// Throttle is the state by which an endpoint's pace is reduced. The zero value reduces
// nothing.
type Throttle struct { //nolint:recvcheck // only what Observe calls changes its own copy
	// Reduction is the part of the limits that is not used: 0 to [maxReduction].
	Reduction float64 `json:"cut,omitempty"`
	// ReducedAt is when Reduction grew last, and UpdatedAt when attempts were observed last.
	ReducedAt time.Time `json:"cut_at,omitzero"`
	UpdatedAt time.Time `json:"seen_at,omitzero"`
	// UsualMS is the slowly moving mean of the attempts' durations, in milliseconds.
	UsualMS float64 `json:"usual_ms,omitempty"`
	// NotBefore is the moment that a Retry-After named.
	NotBefore time.Time `json:"not_before,omitzero"`
	Breaker   Breaker   `json:"circuit,omitzero"`
}

const (
	// A receiver that asks for less gets slowDown of what it got, at most once within
	// reductionPause: answers that come together are one sign.
	slowDown       = 0.5
	reductionPause = time.Second
	// A receiver whose attempts take latencyFactor times as long as usual, and
	// latencyRise longer, gets latencyDown of what it got. Latency alone never takes more
	// than maxLatencyReduction: the receiver may be slower for good.
	latencyFactor       = 2
	latencyRise         = 100 // milliseconds
	latencyDown         = 0.8
	maxLatencyReduction = 0.75
	latencySample       = 3 // answers: fewer say nothing
	// usualTime is how long it takes until another latency has become the usual one.
	usualTime = time.Minute
	// Success gives back speedUp of the limits per second, so that it takes ten seconds
	// from nearly nothing to all. Of a longer silence no more than speedUpFor counts.
	speedUp    = 0.1
	speedUpFor = 5 * time.Second
	// maxReduction leaves a hundredth of the rate, and one attempt in flight.
	maxReduction = 0.99
)

// Observe returns t after attempts with this feedback.
func (t Throttle) Observe(feedback Feedback, now time.Time) Throttle {
	if feedback.NotBefore.After(t.NotBefore) {
		t.NotBefore = feedback.NotBefore
	}
	if feedback.Attempts() == 0 {
		return t
	}
	t.adapt(feedback, now)
	t.Breaker = t.Breaker.observe(feedback, now)
	if t.Breaker.ClosedAt.Equal(now) {
		t.Reduction, t.ReducedAt = maxReduction, now // a slow start
	}
	t.UpdatedAt = now
	return t
}

// adapt slows t down where the feedback asks for that, and speeds it up otherwise.
func (t *Throttle) adapt(feedback Feedback, now time.Time) {
	left, rested := 1-t.Reduction, now.Sub(t.ReducedAt) >= reductionPause
	slower := t.slower(feedback)
	switch {
	case feedback.Slowed > 0:
		if rested {
			t.Reduction, t.ReducedAt = min(1-left*slowDown, maxReduction), now
		}
	case slower:
		if rested && t.Reduction < maxLatencyReduction {
			t.Reduction, t.ReducedAt = min(1-left*latencyDown, maxLatencyReduction), now
		}
	case feedback.Succeeded > feedback.Failed && !t.UpdatedAt.IsZero():
		since := min(max(0, now.Sub(t.UpdatedAt)), speedUpFor)
		if t.Reduction -= speedUp * since.Seconds(); t.Reduction < 1e-9 {
			t.Reduction = 0
		}
	}
	t.learn(feedback, now)
}

// slower reports whether attempts took much longer than they usually do.
func (t *Throttle) slower(feedback Feedback) bool {
	if t.UsualMS == 0 || feedback.Answered < latencySample {
		return false
	}
	mean := float64(feedback.LatencyMS) / float64(feedback.Answered)
	return mean > latencyFactor*t.UsualMS && mean > t.UsualMS+latencyRise
}

// learn moves the usual duration towards that of the feedback.
func (t *Throttle) learn(feedback Feedback, now time.Time) {
	if feedback.Answered == 0 {
		return
	}
	mean := float64(feedback.LatencyMS) / float64(feedback.Answered)
	if t.UsualMS == 0 {
		t.UsualMS = max(1, mean)
		return
	}
	part := 1 - math.Exp(-max(0, now.Sub(t.UpdatedAt).Seconds())/usualTime.Seconds())
	t.UsualMS = max(1, t.UsualMS+part*(mean-t.UsualMS))
}

// BreakerState is the state of the breaker now, and until when it is open.
func (t Throttle) BreakerState(now time.Time) (postdate.BreakerState, time.Time) {
	return t.Breaker.state(now)
}

// BlockedUntil is when the next attempt may be made: when an open breaker lets a probe
// through, or a Retry-After ends. Zero: now.
func (t Throttle) BlockedUntil(now time.Time) time.Time {
	var until time.Time
	if state, opened := t.BreakerState(now); state == postdate.BreakerOpen {
		until = opened
	}
	if t.NotBefore.After(now) && t.NotBefore.After(until) {
		until = t.NotBefore
	}
	return until
}

// Active reports whether less than the limits may be sent now.
func (t Throttle) Active(now time.Time) bool {
	state, _ := t.BreakerState(now)
	return t.Reduction > 0 || state != postdate.BreakerClosed || t.NotBefore.After(now)
}

// Pace is what may be sent now, out of limit. Its InFlight is 0 where nothing may.
func (t Throttle) Pace(limit postdate.Pace, now time.Time) postdate.Pace {
	if !t.BlockedUntil(now).IsZero() {
		return postdate.Pace{PerSecond: limit.PerSecond, Burst: limit.Burst}
	}
	if state, _ := t.BreakerState(now); state == postdate.BreakerHalfOpen {
		return postdate.Pace{PerSecond: limit.PerSecond, Burst: min(1, limit.Burst), InFlight: min(1, limit.InFlight)}
	}
	return t.Limit(limit)
}

// Limit is limit less t's reduction, whether or not the breaker is open.
func (t Throttle) Limit(limit postdate.Pace) postdate.Pace {
	left := 1 - t.Reduction
	return postdate.Pace{
		PerSecond: limit.PerSecond * left,
		Burst:     min(limit.Burst, max(1, int(float64(limit.Burst)*left))),
		InFlight:  min(limit.InFlight, max(1, int(float64(limit.InFlight)*left+1e-6))),
	}
}
