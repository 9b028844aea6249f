package pacer

import (
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// permit is that of as many attempts as are left.
type permit struct {
	g    *limiter
	left int
}

// issue is the turn of so many attempts, which are under way from now on.
func (g *limiter) issue(turns int) *permit {
	g.inFlight += turns
	return &permit{g: g, left: turns}
}

// done releases the permit of one attempt: it is the [throttle.Permit].
func (t *permit) done(made postdate.Attempt) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left > 0 {
		t.left--
		t.g.done(made)
	}
}

func (g *limiter) done(made postdate.Attempt) {
	now := g.p.config.Now()
	g.inFlight--
	g.usedAt = now
	if !protocol.Attempted(made.Outcome) {
		if g.live(now) && g.bucket.rate > 0 {
			g.bucket.tokens = min(g.bucket.tokens+1, g.bucket.burst)
		}
		g.grant(now)
		return
	}
	first := g.feedback == throttle.Feedback{}
	g.feedback = count(g.feedback, made, now)
	g.avgDuration = average(g.avgDuration, made)
	g.evaluate(made, now)
	if g.inFlight == 0 {
		g.idleAt = now
	}
	if g.leased || first || len(g.waiting) > 0 {
		if first {
			g.reportAt = now.Add(jittered(reportInterval))
		}
		g.grant(now)
	}
}

// evaluate draws from an attempt what cannot wait until the endpoint is told.
func (g *limiter) evaluate(made postdate.Attempt, now time.Time) {
	switch {
	case succeeded(made):
		g.consecutiveFailures = 0
		// A probe was the only one: what follows depends on it.
		g.urgent = g.urgent || g.leased && g.lease.Reason != "" && g.inFlight == 0
		return
	case !failed(made):
		return
	}
	g.consecutiveFailures++
	g.failedAt = now
	rest := asksForRest(made)
	if !g.leased && (rest || g.consecutiveFailures >= leaseAfterFailures) {
		g.requireLease(now)
	}
	g.urgent = g.urgent || g.leased && (rest || g.lease.Reason != "")
	if g.consecutiveFailures%leaseAfterFailures == 0 || made.RetryAfter > 0 {
		g.urgent = true
		g.holdSeq++
	}
}
