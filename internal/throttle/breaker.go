package throttle

import (
	"time"

	"github.com/postdate/postdate"
)

// Breaker is the state of a circuit breaker. The zero value is closed.
type Breaker struct {
	// ConsecutiveFailures counts the attempts that failed since the last success.
	ConsecutiveFailures int `json:"streak,omitempty"`
	// Recent counts the attempts of the current half window, which began at HalfAt, and
	// Earlier those of the half before.
	Recent  Counts    `json:"recent,omitzero"`
	Earlier Counts    `json:"earlier,omitzero"`
	HalfAt  time.Time `json:"half_at,omitzero"`
	// OpenUntil is when a probe is let through. Zero: the breaker is closed.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Opened counts how often the breaker opened without having been stable in between:
	// see stableAfter. ClosedAt is when it closed last.
	Opened   int       `json:"opened,omitempty"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
}

// Counts counts attempts, and how many of them failed.
type Counts struct {
	Attempts int `json:"attempts,omitempty"`
	Failed   int `json:"failed,omitempty"`
}

const (
	// openAfter is the number of consecutive failures that opens the breaker.
	openAfter = 5
	// The breaker also opens when openRatio of at least openAttempts attempts failed
	// within openWindow.
	openAttempts = 20
	openRatio    = 0.5
	openWindow   = 30 * time.Second
	// The breaker is open for firstOpen, and twice as long each time the probe fails,
	// up to maxOpen.
	firstOpen = 3 * time.Second
	maxOpen   = 5 * time.Minute
	// stableAfter is how long the breaker must stay closed to begin with firstOpen again.
	stableAfter = time.Minute
)

func (b Breaker) state(now time.Time) (postdate.BreakerState, time.Time) {
	switch {
	case b.OpenUntil.IsZero():
		return postdate.BreakerClosed, time.Time{}
	case now.Before(b.OpenUntil):
		return postdate.BreakerOpen, b.OpenUntil
	}
	return postdate.BreakerHalfOpen, time.Time{}
}

// observe returns the breaker after these attempts. Attempts that end while it is open
// began before it opened, and say nothing new.
func (b Breaker) observe(feedback Feedback, now time.Time) Breaker {
	switch state, _ := b.state(now); state {
	case postdate.BreakerOpen:
	case postdate.BreakerHalfOpen:
		switch {
		case feedback.Trailing > 0 || feedback.Failed > 0 && feedback.Succeeded == 0:
			b = b.open(now)
		default: // accepted, or refused by a receiver that answers
			b = Breaker{Opened: b.Opened, ClosedAt: now}
		}
	case postdate.BreakerClosed:
		b = b.count(feedback, now)
		window := Counts{b.Recent.Attempts + b.Earlier.Attempts, b.Recent.Failed + b.Earlier.Failed}
		if b.ConsecutiveFailures >= openAfter || window.Attempts >= openAttempts && float64(window.Failed) >= openRatio*float64(window.Attempts) {
			b = b.open(now)
		}
	}
	return b
}

func (b Breaker) count(feedback Feedback, now time.Time) Breaker {
	if feedback.Succeeded > 0 {
		b.ConsecutiveFailures = 0
	}
	b.ConsecutiveFailures += feedback.Trailing
	switch age := now.Sub(b.HalfAt); {
	case b.HalfAt.IsZero() || age >= openWindow:
		b.Earlier, b.Recent, b.HalfAt = Counts{}, Counts{}, now
	case age >= openWindow/2:
		b.Earlier, b.Recent, b.HalfAt = b.Recent, Counts{}, now
	}
	b.Recent.Attempts += feedback.Attempts()
	b.Recent.Failed += feedback.Failed
	return b
}

func (b Breaker) open(now time.Time) Breaker {
	opened := b.Opened
	if !b.ClosedAt.IsZero() && b.OpenUntil.IsZero() && now.Sub(b.ClosedAt) >= stableAfter {
		opened = 0
	}
	wait := min(firstOpen<<min(opened, 10), maxOpen)
	return Breaker{OpenUntil: now.Add(wait), Opened: opened + 1}
}
