package throttle

import (
	"time"

	"github.com/postdate/postdate"
)

// Breaker is a breaker's memory. The zero value is closed.
type Breaker struct {
	// ConsecutiveFailures is how many attempts failed in a row.
	ConsecutiveFailures int `json:"streak,omitempty"`
	// Recent are the attempts of this half of a window, from HalfAt on, and Earlier
	// those of the half before.
	Recent  Counts    `json:"recent,omitzero"`
	Earlier Counts    `json:"earlier,omitzero"`
	HalfAt  time.Time `json:"half_at,omitzero"`
	// OpenUntil is when a probe is let through. Zero: it is closed.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Opened is how often it opened without having been closed for a while, and
	// ClosedAt when it closed last.
	Opened   int       `json:"opened,omitempty"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
}

// Counts counts attempts, and those of them that failed.
type Counts struct {
	Attempts int `json:"attempts,omitempty"`
	Failed   int `json:"failed,omitempty"`
}

const (
	// A breaker opens after so many failures in a row.
	openAfter = 5
	// It also opens where half of so many attempts failed within a window.
	openAttempts = 20
	openRatio    = 0.5
	openWindow   = 30 * time.Second
	// It is open for firstOpen, and twice as long each time that the probe fails,
	// up to maxOpen.
	firstOpen = 3 * time.Second
	maxOpen   = 5 * time.Minute
	// Once it was closed for so long, it begins with firstOpen again.
	stableAfter = time.Minute
)

func (c Breaker) state(now time.Time) (postdate.BreakerState, time.Time) {
	switch {
	case c.OpenUntil.IsZero():
		return postdate.BreakerClosed, time.Time{}
	case now.Before(c.OpenUntil):
		return postdate.BreakerOpen, c.OpenUntil
	}
	return postdate.BreakerHalfOpen, time.Time{}
}

// observe is c after some attempts. Those that end while it is open began before
// it was, and tell nothing new.
func (c Breaker) observe(seen Feedback, now time.Time) Breaker {
	switch state, _ := c.state(now); state {
	case postdate.BreakerOpen:
	case postdate.BreakerHalfOpen:
		switch {
		case seen.Trailing > 0 || seen.Failed > 0 && seen.Succeeded == 0:
			c = c.open(now)
		default: // accepted, or refused by somebody who is there
			c = Breaker{Opened: c.Opened, ClosedAt: now}
		}
	case postdate.BreakerClosed:
		c = c.count(seen, now)
		both := Counts{c.Recent.Attempts + c.Earlier.Attempts, c.Recent.Failed + c.Earlier.Failed}
		if c.ConsecutiveFailures >= openAfter || both.Attempts >= openAttempts && float64(both.Failed) >= openRatio*float64(both.Attempts) {
			c = c.open(now)
		}
	}
	return c
}

func (c Breaker) count(seen Feedback, now time.Time) Breaker {
	if seen.Succeeded > 0 {
		c.ConsecutiveFailures = 0
	}
	c.ConsecutiveFailures += seen.Trailing
	switch age := now.Sub(c.HalfAt); {
	case c.HalfAt.IsZero() || age >= openWindow:
		c.Earlier, c.Recent, c.HalfAt = Counts{}, Counts{}, now
	case age >= openWindow/2:
		c.Earlier, c.Recent, c.HalfAt = c.Recent, Counts{}, now
	}
	c.Recent.Attempts += seen.Attempts()
	c.Recent.Failed += seen.Failed
	return c
}

func (c Breaker) open(now time.Time) Breaker {
	opened := c.Opened
	if !c.ClosedAt.IsZero() && c.OpenUntil.IsZero() && now.Sub(c.ClosedAt) >= stableAfter {
		opened = 0
	}
	wait := min(firstOpen<<min(opened, 10), maxOpen)
	return Breaker{OpenUntil: now.Add(wait), Opened: opened + 1}
}
