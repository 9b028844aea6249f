package throttle

import (
	"math"
	"time"

	"github.com/postdate/postdate"
)

// Throttle is how an endpoint takes what it is sent: by it the pace is slowed down
// and sped up again, and stopped by its breaker. The zero value is that of an
// endpoint of which nothing is known: it is sent to at its full pace.
type Throttle struct { //nolint:recvcheck // only what Observe calls changes its own copy
	// Reduction is the part of the limits that is not used: 0 to [maxReduction].
	Reduction float64 `json:"cut,omitempty"`
	// ReducedAt is when that became more, and SeenAt when attempts were told of last.
	ReducedAt time.Time `json:"cut_at,omitzero"`
	UpdatedAt time.Time `json:"seen_at,omitzero"`
	// UsualMS is how long an attempt usually takes: a mean that moves slowly.
	UsualMS float64 `json:"usual_ms,omitempty"`
	// NotBefore is until when a Retry-After asked for rest.
	NotBefore time.Time `json:"not_before,omitzero"`
	Breaker   Breaker   `json:"circuit,omitzero"`
}

const (
	// Whoever asks for less gets half, at most once in cutPause: what comes
	// together is one sign.
	slowDown       = 0.5
	reductionPause = time.Second
	// An endpoint that takes twice as long as it usually does, and latencyRise more,
	// gets four fifths; by this alone never less than a quarter, for it may have
	// got slower for good.
	latencyFactor       = 2
	latencyRise         = 100 // milliseconds
	latencyDown         = 0.8
	maxLatencyReduction = 0.75
	latencySample       = 3 // answers: fewer say nothing
	// usualTime is how long it takes until another latency has become the usual one.
	usualTime = time.Minute
	// Success gives back a tenth of the limit a second: from nearly nothing to all
	// of it takes ten seconds. Of a longer silence no more than speedUpFor counts.
	speedUp    = 0.1
	speedUpFor = 5 * time.Second
	// maxReduction leaves a hundredth, and one in flight.
	maxReduction = 0.99
)

// Observe is f after what was seen, now.
func (f Throttle) Observe(seen Feedback, now time.Time) Throttle {
	if seen.NotBefore.After(f.NotBefore) {
		f.NotBefore = seen.NotBefore
	}
	if seen.Attempts() == 0 {
		return f
	}
	f.adapt(seen, now)
	f.Breaker = f.Breaker.observe(seen, now)
	if f.Breaker.ClosedAt.Equal(now) {
		f.Reduction, f.ReducedAt = maxReduction, now // a slow start
	}
	f.UpdatedAt = now
	return f
}

// adapt slows f down where seen asks for that, and speeds it up otherwise.
func (f *Throttle) adapt(seen Feedback, now time.Time) {
	left, rested := 1-f.Reduction, now.Sub(f.ReducedAt) >= reductionPause
	slower := f.slower(seen)
	switch {
	case seen.Slowed > 0:
		if rested {
			f.Reduction, f.ReducedAt = min(1-left*slowDown, maxReduction), now
		}
	case slower:
		if rested && f.Reduction < maxLatencyReduction {
			f.Reduction, f.ReducedAt = min(1-left*latencyDown, maxLatencyReduction), now
		}
	case seen.Succeeded > seen.Failed && !f.UpdatedAt.IsZero():
		since := min(max(0, now.Sub(f.UpdatedAt)), speedUpFor)
		if f.Reduction -= speedUp * since.Seconds(); f.Reduction < 1e-9 {
			f.Reduction = 0
		}
	}
	f.learn(seen, now)
}

// slower tells whether attempts took much longer than they usually do.
func (f *Throttle) slower(seen Feedback) bool {
	if f.UsualMS == 0 || seen.Answered < latencySample {
		return false
	}
	mean := float64(seen.LatencyMS) / float64(seen.Answered)
	return mean > latencyFactor*f.UsualMS && mean > f.UsualMS+latencyRise
}

// learn moves what is usual towards what was seen.
func (f *Throttle) learn(seen Feedback, now time.Time) {
	if seen.Answered == 0 {
		return
	}
	mean := float64(seen.LatencyMS) / float64(seen.Answered)
	if f.UsualMS == 0 {
		f.UsualMS = max(1, mean)
		return
	}
	part := 1 - math.Exp(-max(0, now.Sub(f.UpdatedAt).Seconds())/usualTime.Seconds())
	f.UsualMS = max(1, f.UsualMS+part*(mean-f.UsualMS))
}

// BreakerState is the state of f's breaker now, and until when it is open.
func (f Throttle) BreakerState(now time.Time) (postdate.BreakerState, time.Time) {
	return f.Breaker.state(now)
}

// BlockedUntil is when the next attempt may be made, where none may now: when an
// open breaker lets a probe through, or a Retry-After ends. Zero: now.
func (f Throttle) BlockedUntil(now time.Time) time.Time {
	var until time.Time
	if state, opened := f.BreakerState(now); state == postdate.BreakerOpen {
		until = opened
	}
	if f.NotBefore.After(now) && f.NotBefore.After(until) {
		until = f.NotBefore
	}
	return until
}

// Active tells whether less than the limits may be sent now.
func (f Throttle) Active(now time.Time) bool {
	state, _ := f.BreakerState(now)
	return f.Reduction > 0 || state != postdate.BreakerClosed || f.NotBefore.After(now)
}

// Pace is what may be sent now of limit: InFlight is 0 where nothing may.
func (f Throttle) Pace(limit postdate.Pace, now time.Time) postdate.Pace {
	if !f.BlockedUntil(now).IsZero() {
		return postdate.Pace{PerSecond: limit.PerSecond, Burst: limit.Burst}
	}
	if state, _ := f.BreakerState(now); state == postdate.BreakerHalfOpen {
		return postdate.Pace{PerSecond: limit.PerSecond, Burst: min(1, limit.Burst), InFlight: min(1, limit.InFlight)}
	}
	return f.Limit(limit)
}

// Limit is what f leaves of limit, as if nothing were closed.
func (f Throttle) Limit(limit postdate.Pace) postdate.Pace {
	left := 1 - f.Reduction
	return postdate.Pace{
		PerSecond: limit.PerSecond * left,
		Burst:     min(limit.Burst, max(1, int(float64(limit.Burst)*left))),
		InFlight:  min(limit.InFlight, max(1, int(float64(limit.InFlight)*left+1e-6))),
	}
}
