package postdate

import (
	"math"
	"math/rand/v2"
	"time"
)

// Retry says when a failed attempt is made again: after the intervals of
// Schedule, one after another, or after intervals that grow from Initial by
// Factor. The zero value is [DefaultRetry].
type Retry struct {
	// Schedule lists the waits between attempts; after the last one it is over.
	// An empty list retries nothing.
	Schedule []Duration `json:"schedule,omitzero"`

	// Initial is the first wait of a growing series. Default 5 s.
	Initial Duration `json:"initial,omitempty"`
	// Factor is how much longer each wait is than the one before. Default 2.
	Factor float64 `json:"factor,omitempty"`
	// MaxInterval bounds each wait. Default 1 h.
	MaxInterval Duration `json:"max_interval,omitempty"`
	// MaxAttempts bounds the attempts, the first included. 0: no bound.
	MaxAttempts int `json:"max_attempts,omitempty"`
	// MaxDuration bounds the time from the first attempt to the last one's
	// beginning. Default 72 h where MaxAttempts sets no bound either.
	MaxDuration Duration `json:"max_duration,omitempty"`

	// Jitter lengthens each wait by a random part of it, so that what failed
	// together does not come back together: 0 to 1, default 0.1.
	Jitter *float64 `json:"jitter,omitempty"`
}

const (
	maxRetryAttempts = 1000
	maxRetryDuration = 365 * 24 * time.Hour
	// MaxRetryAfter bounds what a receiver's Retry-After is obeyed for.
	MaxRetryAfter = 24 * time.Hour
)

// DefaultRetry is the example schedule of Standard Webhooks 1.0: ten attempts
// in a little over three days.
var DefaultRetry = Retry{Schedule: []Duration{
	Duration(5 * time.Second), Duration(5 * time.Minute), Duration(30 * time.Minute),
	Duration(2 * time.Hour), Duration(5 * time.Hour), Duration(10 * time.Hour),
	Duration(14 * time.Hour), Duration(20 * time.Hour), Duration(24 * time.Hour),
}}

// Validate reports the first rule that r breaks.
func (r Retry) Validate() error {
	grows := r.Initial != 0 || r.Factor != 0 || r.MaxInterval != 0 || r.MaxAttempts != 0 || r.MaxDuration != 0
	switch {
	case r.Schedule != nil && grows:
		return Errorf(Invalid, "/retry/schedule", "a schedule of waits and a growing series exclude each other")
	case len(r.Schedule) >= maxRetryAttempts:
		return Errorf(Invalid, "/retry/schedule", "fewer than %d waits", maxRetryAttempts)
	case r.Initial < 0 || r.Initial.Duration() > maxRetryDuration:
		return Errorf(Invalid, "/retry/initial", "a wait is at least 0 and at most a year")
	case r.Factor != 0 && (r.Factor < 1 || r.Factor > 100 || math.IsNaN(r.Factor)):
		return Errorf(Invalid, "/retry/factor", "from 1 to 100")
	case r.MaxInterval < 0 || r.MaxInterval.Duration() > maxRetryDuration:
		return Errorf(Invalid, "/retry/max_interval", "a wait is at least 0 and at most a year")
	case r.MaxAttempts < 0 || r.MaxAttempts > maxRetryAttempts:
		return Errorf(Invalid, "/retry/max_attempts", "from 1 to %d", maxRetryAttempts)
	case r.MaxDuration < 0 || r.MaxDuration.Duration() > maxRetryDuration:
		return Errorf(Invalid, "/retry/max_duration", "at most a year")
	case r.Jitter != nil && (*r.Jitter < 0 || *r.Jitter > 1 || math.IsNaN(*r.Jitter)):
		return Errorf(Invalid, "/retry/jitter", "from 0 to 1")
	}
	for _, wait := range r.Schedule {
		if wait < 0 || wait.Duration() > maxRetryDuration {
			return Errorf(Invalid, "/retry/schedule", "a wait is at least 0 and at most a year")
		}
	}
	return nil
}

// isEmpty reports whether r says nothing.
func (r Retry) isEmpty() bool {
	return r.Schedule == nil && r.Jitter == nil && r.Initial == 0 && r.Factor == 0 && r.MaxInterval == 0 && r.MaxAttempts == 0 &&
		r.MaxDuration == 0
}

// WithDefaults is r with all that it leaves open filled in.
func (r Retry) WithDefaults() Retry {
	jitter := 0.1
	if r.Jitter == nil {
		r.Jitter = &jitter
	}
	if r.Schedule != nil {
		return r
	}
	if r.Initial == 0 && r.Factor == 0 && r.MaxInterval == 0 && r.MaxAttempts == 0 && r.MaxDuration == 0 {
		r.Schedule = DefaultRetry.Schedule
		return r
	}
	if r.Initial == 0 {
		r.Initial = Duration(5 * time.Second)
	}
	if r.Factor == 0 {
		r.Factor = 2
	}
	if r.MaxInterval == 0 {
		r.MaxInterval = max(Duration(time.Hour), r.Initial)
	}
	if r.MaxAttempts == 0 && r.MaxDuration == 0 {
		r.MaxDuration = Duration(72 * time.Hour)
	}
	return r
}

// RetryOrDefault is r with all that it leaves open filled in; of nil it is [DefaultRetry].
func RetryOrDefault(r *Retry) Retry {
	if r == nil {
		return Retry{}.WithDefaults()
	}
	return r.WithDefaults()
}

// Attempts is how many attempts r allows at most, or 0 where time is the bound.
func (r Retry) Attempts() int {
	if r.Schedule != nil {
		return len(r.Schedule) + 1
	}
	return r.MaxAttempts
}

// Wait is how long to wait after the made-th attempt (counted from 1), jitter
// included, or false where that was the last. r has its defaults.
func (r Retry) Wait(made int) (time.Duration, bool) {
	if bound := r.Attempts(); bound > 0 && made >= bound {
		return 0, false
	}
	var wait float64
	if r.Schedule != nil {
		wait = float64(r.Schedule[made-1])
	} else {
		wait = min(float64(r.Initial)*math.Pow(r.Factor, float64(made-1)), float64(r.MaxInterval))
	}
	if r.Jitter != nil {
		wait += wait * *r.Jitter * rand.Float64()
	}
	return time.Duration(wait), true
}
