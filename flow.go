package postdate

import (
	"math"
	"time"
)

// Observed is what attempts at an endpoint came to since the last time it was told.
type Observed struct {
	Succeeded int `json:"succeeded,omitempty"`
	// Failed are those that say the endpoint is in trouble: no answer, a timeout,
	// 408, 429, 5xx. Another answer, even a refusal, is neither success nor failure.
	Failed int `json:"failed,omitempty"`
	// Slowed are those of them that ask for less: 408, 429, 503 and timeouts.
	Slowed int `json:"slowed,omitempty"`
	// Answered are all that were answered, and LatencyMS the sum of what they took.
	Answered  int   `json:"answered,omitempty"`
	LatencyMS int64 `json:"latency_ms,omitempty"`
	// Trailing is how many of the failures came after the last success.
	Trailing int `json:"trailing,omitempty"`
	// NotBefore is the latest moment until which a Retry-After asked for rest.
	NotBefore time.Time `json:"not_before,omitzero"`
}

// Attempts is how many attempts o tells of.
func (o Observed) Attempts() int { return max(o.Answered, o.Succeeded+o.Failed) }

// Flow is how an endpoint takes what it is sent: by it the pace is slowed down
// and sped up again, and stopped by its breaker. The zero value is that of an
// endpoint of which nothing is known: it is sent to at its full pace.
type Flow struct { //nolint:recvcheck // only what Observe calls changes its own copy
	// Cut is the part of the limits that is not used: 0 to [maxCut].
	Cut float64 `json:"cut,omitempty"`
	// CutAt is when that became more, and SeenAt when attempts were told of last.
	CutAt  time.Time `json:"cut_at,omitzero"`
	SeenAt time.Time `json:"seen_at,omitzero"`
	// UsualMS is how long an attempt usually takes: a mean that moves slowly.
	UsualMS float64 `json:"usual_ms,omitempty"`
	// NotBefore is until when a Retry-After asked for rest.
	NotBefore time.Time `json:"not_before,omitzero"`
	Circuit   Circuit   `json:"circuit,omitzero"`
}

const (
	// Whoever asks for less gets half, at most once in cutPause: what comes
	// together is one sign.
	slowDown = 0.5
	cutPause = time.Second
	// An endpoint that takes twice as long as it usually does, and latencyRise more,
	// gets four fifths; by this alone never less than a quarter, for it may have
	// got slower for good.
	latencyFactor = 2
	latencyRise   = 100 // milliseconds
	latencyDown   = 0.8
	latencyCut    = 0.75
	latencySample = 3 // answers: fewer say nothing
	// usualTime is how long it takes until another latency has become the usual one.
	usualTime = time.Minute
	// Success gives back a tenth of the limit a second: from nearly nothing to all
	// of it takes ten seconds. Of a longer silence no more than speedUpFor counts.
	speedUp    = 0.1
	speedUpFor = 5 * time.Second
	// maxCut leaves a hundredth, and one in flight.
	maxCut = 0.99
)

// Observe is f after what was seen, now.
func (f Flow) Observe(seen Observed, now time.Time) Flow {
	if seen.NotBefore.After(f.NotBefore) {
		f.NotBefore = seen.NotBefore
	}
	if seen.Attempts() == 0 {
		return f
	}
	f.adapt(seen, now)
	f.Circuit = f.Circuit.observe(seen, now)
	if f.Circuit.ClosedAt.Equal(now) {
		f.Cut, f.CutAt = maxCut, now // a slow start
	}
	f.SeenAt = now
	return f
}

// adapt slows f down where seen asks for that, and speeds it up otherwise.
func (f *Flow) adapt(seen Observed, now time.Time) {
	left, rested := 1-f.Cut, now.Sub(f.CutAt) >= cutPause
	slower := f.slower(seen)
	switch {
	case seen.Slowed > 0:
		if rested {
			f.Cut, f.CutAt = min(1-left*slowDown, maxCut), now
		}
	case slower:
		if rested && f.Cut < latencyCut {
			f.Cut, f.CutAt = min(1-left*latencyDown, latencyCut), now
		}
	case seen.Succeeded > seen.Failed && !f.SeenAt.IsZero():
		since := min(max(0, now.Sub(f.SeenAt)), speedUpFor)
		if f.Cut -= speedUp * since.Seconds(); f.Cut < 1e-9 {
			f.Cut = 0
		}
	}
	f.learn(seen, now)
}

// slower tells whether attempts took much longer than they usually do.
func (f *Flow) slower(seen Observed) bool {
	if f.UsualMS == 0 || seen.Answered < latencySample {
		return false
	}
	mean := float64(seen.LatencyMS) / float64(seen.Answered)
	return mean > latencyFactor*f.UsualMS && mean > f.UsualMS+latencyRise
}

// learn moves what is usual towards what was seen.
func (f *Flow) learn(seen Observed, now time.Time) {
	if seen.Answered == 0 {
		return
	}
	mean := float64(seen.LatencyMS) / float64(seen.Answered)
	if f.UsualMS == 0 {
		f.UsualMS = max(1, mean)
		return
	}
	part := 1 - math.Exp(-max(0, now.Sub(f.SeenAt).Seconds())/usualTime.Seconds())
	f.UsualMS = max(1, f.UsualMS+part*(mean-f.UsualMS))
}

// Breaker is the state of f's breaker now, and until when it is open.
func (f Flow) Breaker(now time.Time) (BreakerState, time.Time) { return f.Circuit.state(now) }

// ClosedUntil is when the next attempt may be made, where none may now: when an
// open breaker lets a probe through, or a Retry-After ends. Zero: now.
func (f Flow) ClosedUntil(now time.Time) time.Time {
	var until time.Time
	if state, opened := f.Breaker(now); state == BreakerOpen {
		until = opened
	}
	if f.NotBefore.After(now) && f.NotBefore.After(until) {
		until = f.NotBefore
	}
	return until
}

// Troubled tells whether less than the limits may be sent now.
func (f Flow) Troubled(now time.Time) bool {
	state, _ := f.Breaker(now)
	return f.Cut > 0 || state != BreakerClosed || f.NotBefore.After(now)
}

// Pace is what may be sent now of limit: InFlight is 0 where nothing may.
func (f Flow) Pace(limit Pace, now time.Time) Pace {
	if !f.ClosedUntil(now).IsZero() {
		return Pace{PerSecond: limit.PerSecond, Burst: limit.Burst}
	}
	if state, _ := f.Breaker(now); state == BreakerHalfOpen {
		return Pace{PerSecond: limit.PerSecond, Burst: min(1, limit.Burst), InFlight: min(1, limit.InFlight)}
	}
	return f.Part(limit)
}

// Part is what f leaves of limit, as if nothing were closed.
func (f Flow) Part(limit Pace) Pace {
	left := 1 - f.Cut
	return Pace{
		PerSecond: limit.PerSecond * left,
		Burst:     min(limit.Burst, max(1, int(float64(limit.Burst)*left))),
		InFlight:  min(limit.InFlight, max(1, int(float64(limit.InFlight)*left+1e-6))),
	}
}
