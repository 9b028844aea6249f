package postdate

import "time"

// BreakerState is whether an endpoint's circuit breaker lets attempts through.
type BreakerState string

// The states of a breaker.
const (
	BreakerClosed   BreakerState = "closed"    // as usual
	BreakerOpen     BreakerState = "open"      // nothing is sent
	BreakerHalfOpen BreakerState = "half_open" // one probe at a time
)

// Circuit is a breaker's memory. The zero value is closed.
type Circuit struct {
	// Streak is how many attempts failed in a row.
	Streak int `json:"streak,omitempty"`
	// Recent are the attempts of this half of a window, from HalfAt on, and Earlier
	// those of the half before.
	Recent  Tally     `json:"recent,omitzero"`
	Earlier Tally     `json:"earlier,omitzero"`
	HalfAt  time.Time `json:"half_at,omitzero"`
	// OpenUntil is when a probe is let through. Zero: it is closed.
	OpenUntil time.Time `json:"open_until,omitzero"`
	// Opened is how often it opened without having been closed for a while, and
	// ClosedAt when it closed last.
	Opened   int       `json:"opened,omitempty"`
	ClosedAt time.Time `json:"closed_at,omitzero"`
}

// Tally counts attempts, and those of them that failed.
type Tally struct {
	Attempts int `json:"attempts,omitempty"`
	Failed   int `json:"failed,omitempty"`
}

const (
	// A breaker opens after so many failures in a row.
	openStreak = 5
	// It also opens where half of so many attempts failed within a window.
	openAttempts = 20
	openRatio    = 0.5
	openWindow   = 30 * time.Second
	// It is open for firstOpen, and twice as long each time that the probe fails,
	// up to maxOpen.
	firstOpen = 3 * time.Second
	maxOpen   = 5 * time.Minute
	// Once it was closed for so long, it begins with firstOpen again.
	sound = time.Minute
)

func (c Circuit) state(now time.Time) (BreakerState, time.Time) {
	switch {
	case c.OpenUntil.IsZero():
		return BreakerClosed, time.Time{}
	case now.Before(c.OpenUntil):
		return BreakerOpen, c.OpenUntil
	}
	return BreakerHalfOpen, time.Time{}
}

// observe is c after some attempts. Those that end while it is open began before
// it was, and tell nothing new.
func (c Circuit) observe(seen Observed, now time.Time) Circuit {
	switch state, _ := c.state(now); state {
	case BreakerOpen:
	case BreakerHalfOpen:
		switch {
		case seen.Trailing > 0 || seen.Failed > 0 && seen.Succeeded == 0:
			c = c.open(now)
		default: // accepted, or refused by somebody who is there
			c = Circuit{Opened: c.Opened, ClosedAt: now}
		}
	case BreakerClosed:
		c = c.count(seen, now)
		both := Tally{c.Recent.Attempts + c.Earlier.Attempts, c.Recent.Failed + c.Earlier.Failed}
		if c.Streak >= openStreak || both.Attempts >= openAttempts && float64(both.Failed) >= openRatio*float64(both.Attempts) {
			c = c.open(now)
		}
	}
	return c
}

func (c Circuit) count(seen Observed, now time.Time) Circuit {
	if seen.Succeeded > 0 {
		c.Streak = 0
	}
	c.Streak += seen.Trailing
	switch age := now.Sub(c.HalfAt); {
	case c.HalfAt.IsZero() || age >= openWindow:
		c.Earlier, c.Recent, c.HalfAt = Tally{}, Tally{}, now
	case age >= openWindow/2:
		c.Earlier, c.Recent, c.HalfAt = c.Recent, Tally{}, now
	}
	c.Recent.Attempts += seen.Attempts()
	c.Recent.Failed += seen.Failed
	return c
}

func (c Circuit) open(now time.Time) Circuit {
	opened := c.Opened
	if !c.ClosedAt.IsZero() && c.OpenUntil.IsZero() && now.Sub(c.ClosedAt) >= sound {
		opened = 0
	}
	wait := min(firstOpen<<min(opened, 10), maxOpen)
	return Circuit{OpenUntil: now.Add(wait), Opened: opened + 1}
}
