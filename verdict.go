package postdate

import (
	"fmt"
	"time"
)

// RetryPlan is how long to keep trying to deliver one message.
type RetryPlan struct {
	// Retry has its defaults filled in.
	Retry Retry `json:"retry"`
	// ExpiresAt is the moment from which no attempt is begun. Zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Since is when this round of attempts began, and Before how many attempts
	// were made before it: a dead letter that is retried gets a fresh round.
	Since  time.Time `json:"since"`
	Before int       `json:"before,omitempty"`
}

// Decision is what follows from an attempt: the end that State names, or, where
// State is Retrying, another attempt after Wait.
type Decision struct {
	State  State
	Wait   time.Duration
	Reason string
}

// Decide says what follows from attempt a, made at a moment not after now.
// Where another attempt would come too late, it is over at once: nobody should
// wait for something that cannot happen any more.
func (p RetryPlan) Decide(a Attempt, now time.Time) Decision {
	if state, reason := a.Outcome.End(); state.Final() {
		return Decision{State: state, Reason: reason}
	}
	made := a.Number - p.Before
	wait, more := p.Retry.Wait(made)
	if !more {
		return Decision{State: Dead, Reason: "gave up after " + attempts(made)}
	}
	wait = max(wait, a.RetryAfter.Duration())
	next := now.Add(wait)
	if bound := p.Retry.MaxDuration.Duration(); bound > 0 && next.Sub(p.Since) > bound {
		return Decision{State: Dead, Reason: fmt.Sprintf("gave up after %s in %s (waiting another %s would exceed max_duration, %s)",
			attempts(made), now.Sub(p.Since).Round(time.Second), wait.Round(time.Second), bound)}
	}
	if p.Expired(next) {
		return Decision{State: Expired, Reason: fmt.Sprintf("expires at %s, before another attempt", p.ExpiresAt.Format(time.RFC3339))}
	}
	return Decision{State: Retrying, Wait: wait}
}

// Expired reports whether an attempt begun at t would come too late.
func (p RetryPlan) Expired(t time.Time) bool { return !p.ExpiresAt.IsZero() && !t.Before(p.ExpiresAt) }

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
