package postdate

import "math"

// RateLimit bounds how many attempts at an endpoint begin in a time. One of
// PerSecond and PerMinute is given.
type RateLimit struct {
	PerSecond float64 `json:"per_second,omitempty"`
	PerMinute float64 `json:"per_minute,omitempty"`
	// Burst is how many may begin at once after a while of rest. Default: a tenth
	// of what a second allows, at least 1.
	Burst int `json:"burst,omitempty"`
}

const (
	maxPerSecond = 10_000
	// MaxInFlight is the most that an endpoint's bound in flight may be.
	MaxInFlight = 10_000
	// DefaultInFlight is that bound by default.
	DefaultInFlight = 100
)

// Validate reports the first rule that r breaks.
func (r RateLimit) Validate() error {
	switch {
	case r.PerSecond != 0 && r.PerMinute != 0:
		return Errorf(Invalid, "/rate_limit", "per_second and per_minute exclude each other")
	case r.PerSecond == 0 && r.PerMinute == 0:
		return Errorf(Invalid, "/rate_limit", "per_second or per_minute is needed")
	case math.IsNaN(r.perSecond()) || r.perSecond() < 1.0/60 || r.perSecond() > maxPerSecond:
		field := "/rate_limit/per_second"
		if r.PerMinute != 0 {
			field = "/rate_limit/per_minute"
		}
		return Errorf(Invalid, field, "from 1 a minute to %d a second", maxPerSecond)
	case r.Burst < 0 || r.Burst > maxPerSecond:
		return Errorf(Invalid, "/rate_limit/burst", "from 1 to %d", maxPerSecond)
	}
	return nil
}

func (r RateLimit) perSecond() float64 { return r.PerSecond + r.PerMinute/60 }

// Pace is how much is sent, at most.
type Pace struct {
	// PerSecond is how many attempts begin in a second, and Burst how many at once
	// after a while of rest. 0: no bound.
	PerSecond float64 `json:"per_second,omitempty"`
	Burst     int     `json:"burst,omitempty"`
	// InFlight is how many attempts are under way at once.
	InFlight int `json:"in_flight"`
}

// Pace is e's, where inFlight is the bound of endpoints that have none of their own.
func (e Endpoint) Pace(inFlight int) Pace {
	p := Pace{InFlight: inFlight}
	if e.MaxInFlight > 0 {
		p.InFlight = e.MaxInFlight
	}
	if e.RateLimit != nil {
		p.PerSecond = e.RateLimit.perSecond()
		p.Burst = e.RateLimit.Burst
		if p.Burst == 0 {
			p.Burst = max(1, int(p.PerSecond/10))
		}
	}
	return p
}

// Paced reports whether e has a pace of its own.
func (e Endpoint) Paced() bool { return e.RateLimit != nil || e.MaxInFlight > 0 }

func (e Endpoint) validatePace() error {
	if e.MaxInFlight < 0 || e.MaxInFlight > MaxInFlight {
		return Errorf(Invalid, "/max_in_flight", "from 1 to %d", MaxInFlight)
	}
	if e.RateLimit != nil {
		return e.RateLimit.Validate()
	}
	return nil
}
