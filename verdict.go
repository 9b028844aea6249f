package postdate

import (
	"fmt"
	"time"
)

// Plan is how long to keep trying to deliver one message.
type Plan struct {
	// Retry has its defaults filled in.
	Retry Retry `json:"retry"`
	// ExpiresAt is the moment from which no attempt is begun. Zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Since is when this round of attempts began, and Before how many attempts
	// were made before it: a dead letter that is retried gets a fresh round.
	Since  time.Time `json:"since"`
	Before int       `json:"before,omitempty"`
}

// Verdict is what follows from an attempt: the end that State names, or, where
// State is Retrying, another attempt after Wait.
type Verdict struct {
	State  State
	Wait   time.Duration
	Reason string
}

// Judge says what follows from attempt a, made at a moment not after now.
// Where another attempt would come too late, it is over at once: nobody should
// wait for something that cannot happen any more.
func (p Plan) Judge(a Attempt, now time.Time) Verdict {
	if state, reason := a.Outcome.End(); state.Over() {
		return Verdict{State: state, Reason: reason}
	}
	made := a.Number - p.Before
	wait, more := p.Retry.Wait(made)
	if !more {
		return Verdict{State: Dead, Reason: "gave up after " + attempts(made)}
	}
	wait = max(wait, a.RetryAfter.Std())
	next := now.Add(wait)
	if bound := p.Retry.MaxDuration.Std(); bound > 0 && next.Sub(p.Since) > bound {
		return Verdict{State: Dead, Reason: fmt.Sprintf("gave up after %s in %s (waiting another %s would exceed max_duration, %s)",
			attempts(made), now.Sub(p.Since).Round(time.Second), wait.Round(time.Second), bound)}
	}
	if p.Expired(next) {
		return Verdict{State: Expired, Reason: fmt.Sprintf("expires at %s, before another attempt", p.ExpiresAt.Format(time.RFC3339))}
	}
	return Verdict{State: Retrying, Wait: wait}
}

// Expired tells whether an attempt begun at t would come too late.
func (p Plan) Expired(t time.Time) bool { return !p.ExpiresAt.IsZero() && !t.Before(p.ExpiresAt) }

func attempts(n int) string {
	if n == 1 {
		return "1 attempt"
	}
	return fmt.Sprintf("%d attempts", n)
}
