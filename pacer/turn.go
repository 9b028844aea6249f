package pacer

import (
	"time"

	"github.com/postdate/postdate"
)

// turn is that of as many attempts as are left.
type turn struct {
	g    *gate
	left int
}

// begin is the turn of so many attempts, which are under way from now on.
func (g *gate) begin(turns int) *turn {
	g.inFlight += turns
	return &turn{g: g, left: turns}
}

// Done implements [activities.Turn].
func (t *turn) Done(made postdate.Attempt) {
	t.g.mu.Lock()
	defer t.g.mu.Unlock()
	if t.left > 0 {
		t.left--
		t.g.done(made)
	}
}

func (g *gate) done(made postdate.Attempt) {
	now := g.p.config.Now()
	g.inFlight--
	g.usedAt = now
	if !made.Outcome.Made() {
		if g.live(now) && g.bucket.rate > 0 {
			g.bucket.tokens = min(g.bucket.tokens+1, g.bucket.burst)
		}
		g.pump(now)
		return
	}
	first := g.seen == postdate.Observed{}
	g.seen = count(g.seen, made, now)
	g.takes = lately(g.takes, made)
	g.judge(made, now)
	if g.inFlight == 0 {
		g.idleAt = now
	}
	if g.engaged || first || len(g.waiting) > 0 {
		if first {
			g.reportAt = now.Add(spread(reportEvery))
		}
		g.pump(now)
	}
}

// judge draws from an attempt what cannot wait until the endpoint is told.
func (g *gate) judge(made postdate.Attempt, now time.Time) {
	switch {
	case succeeded(made):
		g.trailing = 0
		// A probe was the only one: what follows depends on it.
		g.urgent = g.urgent || g.engaged && g.lease.Reason != "" && g.inFlight == 0
		return
	case !failed(made):
		return
	}
	g.trailing++
	g.troubledAt = now
	rest := asksForRest(made)
	if !g.engaged && (rest || g.trailing >= troubling) {
		g.engage(now)
	}
	g.urgent = g.urgent || g.engaged && (rest || g.lease.Reason != "")
	if g.trailing%troubling == 0 || made.RetryAfter > 0 {
		g.urgent = true
		g.held++
	}
}
