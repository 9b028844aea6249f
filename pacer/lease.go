package pacer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

const (
	// hungry is how often a share is asked for that is less than what is wanted.
	hungry = time.Second
	// breath is the least time between two requests for one endpoint, and how long
	// one that has nothing to do keeps its share.
	breath = 250 * time.Millisecond
	// reportEvery is about how often a calm endpoint is told of.
	reportEvery = time.Minute
	// quiet is how long an endpoint without a pace must have been well until it is
	// sent to without a lease again.
	quiet = 5 * time.Second
	// askTimeout bounds a request, with all that it takes to ask again.
	askTimeout = 5 * time.Second
)

// leases gives shares of what endpoints may be sent.
type leases interface {
	ask(ctx context.Context, tenant, id string, a workflows.AskLease) (workflows.Lease, error)
}

// engine has the endpoint's execution give them.
type engine struct{ temporal client.Client }

func (e engine) ask(ctx context.Context, tenant, id string, a workflows.AskLease) (workflows.Lease, error) {
	var lease workflows.Lease
	err := persist.Update(ctx, e.temporal, &persist.Start{
		Options: workflows.EndpointOptions(tenant, id), Workflow: workflows.EndpointName,
		Input: workflows.EndpointInput{Tenant: tenant, ID: id, Settings: a.Settings},
	}, workflows.EndpointID(tenant, id), workflows.UpdateLease, a, &lease)
	return lease, err
}

// spread is about d, so that what began together does not stay so.
func spread(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// plan asks for a lease if it is time to, and else sees to it that g is woken in
// time: for that, or for the next turn, where that is known.
func (g *gate) plan(now, turn time.Time) {
	at := turn
	if ask := g.askAt(now); !ask.IsZero() && !g.asking {
		if !ask.After(now) {
			if g.request(now) {
				return
			}
			ask = g.askAt(now)
		}
		if at.IsZero() || ask.Before(at) {
			at = ask
		}
	}
	if at.IsZero() || g.gone || !g.wakeAt.IsZero() && !g.wakeAt.After(at) {
		return
	}
	g.wakeAt = at
	if g.timer == nil {
		g.timer = time.AfterFunc(at.Sub(now), g.wake)
		return
	}
	g.timer.Reset(at.Sub(now))
}

func (g *gate) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wakeAt = time.Time{}
	if !g.gone {
		g.pump(g.p.config.Now())
	}
}

// askAt is when to ask: zero where there is nothing to ask for.
func (g *gate) askAt(now time.Time) time.Time {
	unseen := g.seen == postdate.Observed{}
	switch {
	case !g.engaged && unseen:
		return time.Time{}
	case !g.engaged:
		return g.reportAt
	case g.urgent:
		return g.askedAt.Add(breath)
	case len(g.waiting) > 0:
		return g.askedAt.Add(hungry)
	case g.inFlight > 0:
		return g.askedAt.Add(g.rhythm())
	case g.err != nil && !unseen:
		return g.askedAt.Add(hungry)
	case g.live(now) || !unseen:
		return later(g.idleAt, g.askedAt).Add(breath)
	}
	return time.Time{}
}

// rhythm is how often a share is renewed that is enough.
func (g *gate) rhythm() time.Duration {
	if g.err != nil || !g.usable(g.askedAt) {
		return hungry
	}
	return workflows.LeaseRenewal
}

// request asks for a lease, or tells what was seen. It answers false where it is
// not its turn to.
func (g *gate) request(now time.Time) bool {
	if !g.engaged && !g.p.reports.AllowN(now, 1) {
		g.reportAt = now.Add(spread(time.Second))
		return false
	}
	if !g.p.begin() {
		return true
	}
	ask := g.next(now)
	known := g.held
	g.asking = true
	go func() {
		defer g.p.asking.Done()
		lease, err := g.ask(ask)
		g.hear(ask, lease, err, now, known)
	}()
	return true
}

// next is what to ask for now.
func (g *gate) next(now time.Time) workflows.AskLease {
	ask := workflows.AskLease{
		Worker: g.p.worker, InFlight: g.inFlight, Asking: g.wanted, Seen: g.seen,
		Calm: !g.engaged || g.calms(now),
	}
	if g.live(now) {
		ask.Held = g.lease.Pace
		g.bucket.fill(now, false)
		if g.lease.Pace.PerSecond > 0 {
			ask.Saved = max(0, g.bucket.saved())
		}
	}
	if ask.Calm || ask.InFlight+ask.Asking == 0 {
		g.until = time.Time{} // it is given back: nothing may begin by it any more
	}
	g.seen, g.urgent, g.askedAt = postdate.Observed{}, false, now
	return ask
}

// calms tells whether the endpoint may be sent to without a lease again.
func (g *gate) calms(now time.Time) bool {
	return !g.paced && g.live(now) && !g.lease.Engaged && len(g.waiting) == 0 && g.trailing == 0 && now.Sub(g.troubledAt) >= quiet
}

func (g *gate) ask(ask workflows.AskLease) (workflows.Lease, error) {
	ctx, stop := context.WithTimeout(g.p.ctx, askTimeout)
	defer stop()
	tenant, err := g.p.config.Directory.Tenant(ctx, g.tenant)
	if err != nil {
		return workflows.Lease{}, fmt.Errorf("read its settings: %w", err)
	}
	ask.Settings = activities.SettingsOf(tenant, g.id, g.p.config.MaxInFlight)
	return g.p.leases.ask(ctx, g.tenant, g.id, ask)
}

// hear takes over the answer to what was asked at that moment.
func (g *gate) hear(ask workflows.AskLease, lease workflows.Lease, err error, asked time.Time, known int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.p.config.Now()
	g.asking, g.err = false, err
	if err != nil {
		g.seen = before(ask.Seen, g.seen)
		g.reportAt = now.Add(spread(reportEvery))
		g.p.config.Log.LogAttrs(g.p.ctx, slog.LevelWarn, "ask for a share of an endpoint",
			slog.String("tenant", g.tenant), slog.String("endpoint", g.id), slog.String("error", err.Error()))
		if !g.live(now) && len(g.waiting) > 0 {
			g.askedAt = now // not at once again
		}
		g.pump(now)
		return
	}
	g.open = max(g.open, known)
	given := !ask.Calm && ask.InFlight+ask.Asking > 0
	switch {
	case given:
		g.take(lease, asked, now)
	default:
		g.lease = lease
		g.lease.Pace = postdate.Pace{}
		if !g.paced && !lease.Engaged && len(g.waiting) == 0 && !g.urgent {
			g.engaged, g.open = false, g.held
		} else if lease.Engaged && !g.engaged {
			g.engage(now)
		}
		if lease.ClosedUntil.After(now) { // there is no need to ask before that
			g.refuseUntil = earlier(lease.ClosedUntil, now.Add(workflows.LeaseTime))
		}
		g.urgent = g.urgent || len(g.waiting) > 0
	}
	g.pump(now)
}

// take has turns given by lease.
func (g *gate) take(lease workflows.Lease, asked, now time.Time) {
	if !g.live(now) || g.lease.Pace.InFlight == 0 {
		g.bucket = bucket{at: now}
	}
	g.lease, g.until = lease, asked.Add(lease.For.Std())
	g.bucket.share(lease.Pace, lease.Tokens, now, len(g.waiting) > 0)
	if !g.passesNobody() {
		return
	}
	for i := len(g.waiting) - 1; i >= 0; i = min(i, len(g.waiting)) - 1 {
		if w := g.waiting[i]; !w.called {
			g.answer(w, nil, nil)
			g.refuseUntil = now.Add(refusing)
			i = len(g.waiting) // the others have moved
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// close ends all waiting, and tells whether there is something to be given back.
func (g *gate) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.gone = true
	if g.timer != nil {
		g.timer.Stop()
	}
	for len(g.waiting) > 0 {
		g.answer(g.waiting[0], nil, errClosed)
	}
	return g.live(g.p.config.Now()) || g.engaged && g.seen != postdate.Observed{}
}

// giveBack gives the lease back, for good.
func (g *gate) giveBack() {
	g.mu.Lock()
	ask := g.next(g.p.config.Now())
	g.mu.Unlock()
	if _, err := g.ask(ask); err != nil { // it comes back when its time is over
		g.p.config.Log.LogAttrs(g.p.ctx, slog.LevelInfo, "give back a share of an endpoint",
			slog.String("tenant", g.tenant), slog.String("endpoint", g.id), slog.String("error", err.Error()))
	}
}
