package pacer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// retryInterval is how often a share is asked for that is less than what is wanted.
	retryInterval = time.Second
	// minInterval is the least time between two requests for one endpoint, and how long
	// one that has nothing to do keeps its share.
	minInterval = 250 * time.Millisecond
	// reportInterval is about how often a calm endpoint is told of.
	reportInterval = time.Minute
	// unleaseAfter is how long an endpoint without a pace must have been well until it is
	// sent to without a lease again.
	unleaseAfter = 5 * time.Second
	// requestTimeout bounds a request, with all that it takes to ask again.
	requestTimeout = 5 * time.Second
)

// source gives shares of what endpoints may be sent.
type leaseSource interface {
	request(ctx context.Context, tenant, id string, a protocol.LeaseRequest) (protocol.Lease, error)
}

// endpointLeases has the endpoint's execution give them.
type endpointLeases struct{ temporal client.Client }

func (e endpointLeases) request(ctx context.Context, tenant, id string, a protocol.LeaseRequest) (protocol.Lease, error) {
	var lease protocol.Lease
	err := retry.Update(ctx, e.temporal, &retry.Start{
		Options: protocol.EndpointOptions(tenant, id), Workflow: protocol.EndpointWorkflow,
		Input: protocol.EndpointInput{Tenant: tenant, ID: id, Settings: a.Settings},
	}, protocol.EndpointID(tenant, id), protocol.UpdateLease, a, &lease)
	return lease, err
}

// jittered is about d, so that what began together does not stay so.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// scheduleWake asks for a lease if it is time to, and else sees to it that g is woken in
// time: for that, or for the next turn, where that is known.
func (g *limiter) scheduleWake(now, turn time.Time) {
	at := turn
	if ask := g.nextRequestAt(now); !ask.IsZero() && !g.requesting {
		if !ask.After(now) {
			if g.request(now) {
				return
			}
			ask = g.nextRequestAt(now)
		}
		if at.IsZero() || ask.Before(at) {
			at = ask
		}
	}
	if at.IsZero() || g.dropped || !g.wakeAt.IsZero() && !g.wakeAt.After(at) {
		return
	}
	g.wakeAt = at
	if g.timer == nil {
		g.timer = time.AfterFunc(at.Sub(now), g.wake)
		return
	}
	g.timer.Reset(at.Sub(now))
}

func (g *limiter) wake() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.wakeAt = time.Time{}
	if !g.dropped {
		g.grant(g.p.config.Now())
	}
}

// nextRequestAt is when to ask: zero where there is nothing to ask for.
func (g *limiter) nextRequestAt(now time.Time) time.Time {
	unseen := g.feedback == throttle.Feedback{}
	switch {
	case !g.leased && unseen:
		return time.Time{}
	case !g.leased:
		return g.reportAt
	case g.urgent:
		return g.requestedAt.Add(minInterval)
	case len(g.waiting) > 0:
		return g.requestedAt.Add(retryInterval)
	case g.inFlight > 0:
		return g.requestedAt.Add(g.renewInterval())
	case g.err != nil && !unseen:
		return g.requestedAt.Add(retryInterval)
	case g.live(now) || !unseen:
		return later(g.idleAt, g.requestedAt).Add(minInterval)
	}
	return time.Time{}
}

// renewInterval is how often a share is renewed that is enough.
func (g *limiter) renewInterval() time.Duration {
	if g.err != nil || !g.usable(g.requestedAt) {
		return retryInterval
	}
	return protocol.LeaseRenewal
}

// request asks for a lease, or tells what was seen. It answers false where it is
// not its turn to.
func (g *limiter) request(now time.Time) bool {
	if !g.leased && !g.p.reports.AllowN(now, 1) {
		g.reportAt = now.Add(jittered(time.Second))
		return false
	}
	if !g.p.begin() {
		return true
	}
	ask := g.leaseRequest(now)
	known := g.holdSeq
	g.requesting = true
	go func() {
		defer g.p.requests.Done()
		lease, err := g.requestLease(ask)
		g.onLease(ask, lease, err, now, known)
	}()
	return true
}

// leaseRequest is what to ask for now.
func (g *limiter) leaseRequest(now time.Time) protocol.LeaseRequest {
	ask := protocol.LeaseRequest{
		Worker: g.p.worker, InFlight: g.inFlight, Waiting: g.waitingPermits, Feedback: g.feedback,
		ReportOnly: !g.leased || g.canUnlease(now),
	}
	if g.live(now) {
		ask.Has = g.lease.Pace
		g.bucket.fill(now, false)
		if g.lease.Pace.PerSecond > 0 {
			ask.Tokens = max(0, g.bucket.saved())
		}
	}
	if ask.ReportOnly || ask.InFlight+ask.Waiting == 0 {
		g.until = time.Time{} // it is given back: nothing may begin by it any more
	}
	g.feedback, g.urgent, g.requestedAt = throttle.Feedback{}, false, now
	return ask
}

// canUnlease tells whether the endpoint may be sent to without a lease again.
func (g *limiter) canUnlease(now time.Time) bool {
	return !g.hasPace && g.live(now) && !g.lease.Required && len(g.waiting) == 0 && g.consecutiveFailures == 0 && now.Sub(g.failedAt) >= unleaseAfter
}

func (g *limiter) requestLease(ask protocol.LeaseRequest) (protocol.Lease, error) {
	ctx, stop := context.WithTimeout(g.p.ctx, requestTimeout)
	defer stop()
	tenant, err := g.p.config.Tenants.Tenant(ctx, g.tenant)
	if err != nil {
		return protocol.Lease{}, fmt.Errorf("read its settings: %w", err)
	}
	ask.Settings = protocol.SettingsOf(tenant, g.id, g.p.config.MaxInFlight)
	return g.p.source.request(ctx, g.tenant, g.id, ask)
}

// onLease takes over the answer to what was asked at that moment.
func (g *limiter) onLease(ask protocol.LeaseRequest, lease protocol.Lease, err error, asked time.Time, known int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.p.config.Now()
	g.requesting, g.err = false, err
	if err != nil {
		g.feedback = merge(ask.Feedback, g.feedback)
		g.reportAt = now.Add(jittered(reportInterval))
		g.p.config.Log.LogAttrs(g.p.ctx, slog.LevelWarn, "ask for a share of an endpoint",
			slog.String("tenant", g.tenant), slog.String("endpoint", g.id), slog.String("error", err.Error()))
		if !g.live(now) && len(g.waiting) > 0 {
			g.requestedAt = now // not at once again
		}
		g.grant(now)
		return
	}
	g.ackSeq = max(g.ackSeq, known)
	given := !ask.ReportOnly && ask.InFlight+ask.Waiting > 0
	switch {
	case given:
		g.applyLease(lease, asked, now)
	default:
		g.lease = lease
		g.lease.Pace = postdate.Pace{}
		if !g.hasPace && !lease.Required && len(g.waiting) == 0 && !g.urgent {
			g.leased, g.ackSeq = false, g.holdSeq
		} else if lease.Required && !g.leased {
			g.requireLease(now)
		}
		if lease.BlockedUntil.After(now) { // there is no need to ask before that
			g.queueUntil = earlier(lease.BlockedUntil, now.Add(protocol.LeaseTime))
		}
		g.urgent = g.urgent || len(g.waiting) > 0
	}
	g.grant(now)
}

// applyLease has turns given by lease.
func (g *limiter) applyLease(lease protocol.Lease, asked, now time.Time) {
	if !g.live(now) || g.lease.Pace.InFlight == 0 {
		g.bucket = bucket{at: now}
	}
	g.lease, g.until = lease, asked.Add(lease.TTL.Duration())
	g.bucket.share(lease.Pace, lease.Tokens, now, len(g.waiting) > 0)
	if !g.onlyDequeued() {
		return
	}
	for i := len(g.waiting) - 1; i >= 0; i = min(i, len(g.waiting)) - 1 {
		if w := g.waiting[i]; !w.dequeued {
			g.resolve(w, nil, nil)
			g.queueUntil = now.Add(queueFor)
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
func (g *limiter) close() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.dropped = true
	if g.timer != nil {
		g.timer.Stop()
	}
	for len(g.waiting) > 0 {
		g.resolve(g.waiting[0], nil, errClosed)
	}
	return g.live(g.p.config.Now()) || g.leased && g.feedback != throttle.Feedback{}
}

// giveBack gives the lease back, for good.
func (g *limiter) giveBack() {
	g.mu.Lock()
	ask := g.leaseRequest(g.p.config.Now())
	g.mu.Unlock()
	if _, err := g.requestLease(ask); err != nil { // it comes back when its time is over
		g.p.config.Log.LogAttrs(g.p.ctx, slog.LevelInfo, "give back a share of an endpoint",
			slog.String("tenant", g.tenant), slog.String("endpoint", g.id), slog.String("error", err.Error()))
	}
}
