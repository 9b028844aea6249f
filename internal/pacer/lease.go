package pacer

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// retryInterval is how often a lease is requested whose share is less than is needed.
	retryInterval = time.Second
	// minInterval is the least time between two requests for one endpoint, and how long an
	// idle limiter keeps its share.
	minInterval = 250 * time.Millisecond
	// reportInterval is about how often an unleased endpoint's results are reported.
	reportInterval = time.Minute
	// unleaseAfter is how long an endpoint without a pace must have been well to be
	// unleased.
	unleaseAfter = 5 * time.Second
	// requestTimeout bounds a lease request, with its retries.
	requestTimeout = 5 * time.Second
)

// leaseSource grants leases.
type leaseSource interface {
	request(ctx context.Context, tenant, id string, r protocol.LeaseRequest) (protocol.Lease, error)
}

// endpointLeases are granted by the endpoints' executions.
type endpointLeases struct{ temporal client.Client }

func (e endpointLeases) request(ctx context.Context, tenant, id string, r protocol.LeaseRequest) (protocol.Lease, error) {
	var lease protocol.Lease
	err := retry.Update(ctx, e.temporal, &retry.Start{
		Options: protocol.EndpointOptions(tenant, id), Workflow: protocol.EndpointWorkflow,
		Input: protocol.EndpointInput{Tenant: tenant, ID: id, Settings: r.Settings},
	}, protocol.EndpointID(tenant, id), protocol.UpdateLease, r, &lease)
	return lease, err
}

// jittered is about d, so that what began together does not stay together.
func jittered(d time.Duration) time.Duration { return d/2 + rand.N(d) }

// scheduleWake requests a lease where that is due. Otherwise it sets the timer for the
// next request or, where that is sooner, for the next token.
func (l *limiter) scheduleWake(now, nextToken time.Time) {
	at := nextToken
	if request := l.nextRequestAt(now); !request.IsZero() && !l.requesting {
		if !request.After(now) {
			if l.request(now) {
				return
			}
			request = l.nextRequestAt(now)
		}
		if at.IsZero() || request.Before(at) {
			at = request
		}
	}
	if at.IsZero() || l.dropped || !l.wakeAt.IsZero() && !l.wakeAt.After(at) {
		return
	}
	l.wakeAt = at
	if l.timer == nil {
		l.timer = time.AfterFunc(at.Sub(now), l.wake)
		return
	}
	l.timer.Reset(at.Sub(now))
}

func (l *limiter) wake() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeAt = time.Time{}
	if !l.dropped {
		l.grant(l.p.config.Now())
	}
}

// nextRequestAt is when the next lease request or report is due: zero where none is.
func (l *limiter) nextRequestAt(now time.Time) time.Time {
	reported := l.feedback == throttle.Feedback{}
	switch {
	case !l.leased && reported:
		return time.Time{}
	case !l.leased:
		return l.reportAt
	case l.urgent:
		return l.requestedAt.Add(minInterval)
	case len(l.waiting) > 0:
		return l.requestedAt.Add(retryInterval)
	case l.inFlight > 0:
		return l.requestedAt.Add(l.renewInterval())
	case l.err != nil && !reported:
		return l.requestedAt.Add(retryInterval)
	case l.live(now) || !reported:
		return later(l.idleAt, l.requestedAt).Add(minInterval)
	}
	return time.Time{}
}

// renewInterval is how often a lease is renewed whose share suffices.
func (l *limiter) renewInterval() time.Duration {
	if l.err != nil || !l.usable(l.requestedAt) {
		return retryInterval
	}
	return protocol.LeaseRenewal
}

// request begins a lease request or a report. It returns false where a report has to wait
// for this process's other reports.
func (l *limiter) request(now time.Time) bool {
	if !l.leased && !l.p.reports.AllowN(now, 1) {
		l.reportAt = now.Add(jittered(time.Second))
		return false
	}
	if !l.p.beginRequest() {
		return true
	}
	r := l.leaseRequest(now)
	holdSeq := l.holdSeq
	l.requesting = true
	go func() {
		defer l.p.requests.Done()
		lease, err := l.requestLease(r)
		l.onLease(r, lease, err, now, holdSeq)
	}()
	return true
}

// leaseRequest is the request that is due now. It takes the feedback along, and returns
// the lease where none is needed.
func (l *limiter) leaseRequest(now time.Time) protocol.LeaseRequest {
	r := protocol.LeaseRequest{
		Worker: l.p.worker, InFlight: l.inFlight, Waiting: l.waitingPermits, Feedback: l.feedback,
		ReportOnly: !l.leased || l.canUnlease(now),
	}
	if l.live(now) {
		r.Has = l.lease.Pace
		l.bucket.fill(now, false)
		if l.lease.Pace.PerSecond > 0 {
			r.Tokens = max(0, l.bucket.saved())
		}
	}
	if !wantsShare(r) {
		l.until = time.Time{} // the lease is returned: nothing may begin by it any more
	}
	l.feedback, l.urgent, l.requestedAt = throttle.Feedback{}, false, now
	return r
}

// wantsShare reports whether r asks for a share, and does not return it.
func wantsShare(r protocol.LeaseRequest) bool { return !r.ReportOnly && r.InFlight+r.Waiting > 0 }

// canUnlease reports whether the endpoint may be sent to without a lease again.
func (l *limiter) canUnlease(now time.Time) bool {
	return !l.hasPace && l.live(now) && !l.lease.Required && len(l.waiting) == 0 && l.consecutiveFailures == 0 && now.Sub(l.failedAt) >= unleaseAfter
}

func (l *limiter) requestLease(r protocol.LeaseRequest) (protocol.Lease, error) {
	ctx, stop := context.WithTimeout(l.p.ctx, requestTimeout)
	defer stop()
	tenant, err := l.p.config.Tenants.Tenant(ctx, l.tenant)
	if err != nil {
		return protocol.Lease{}, fmt.Errorf("read its settings: %w", err)
	}
	r.Settings = protocol.SettingsOf(tenant, l.id, l.p.config.MaxInFlight)
	return l.p.source.request(ctx, l.tenant, l.id, r)
}

// onLease applies the answer to r, which was requested at that moment and reported the
// bursts of failures up to holdSeq.
func (l *limiter) onLease(r protocol.LeaseRequest, lease protocol.Lease, err error, requestedAt time.Time, holdSeq int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.p.config.Now()
	l.requesting, l.err = false, err
	if err != nil {
		l.feedback = merge(r.Feedback, l.feedback)
		l.reportAt = now.Add(jittered(reportInterval))
		l.p.config.Log.LogAttrs(l.p.ctx, slog.LevelWarn, "failed to request a lease",
			slog.String("tenant", l.tenant), slog.String("endpoint", l.id), slog.String("error", err.Error()))
		if !l.live(now) && len(l.waiting) > 0 {
			l.requestedAt = now // the next request waits for its interval
		}
		l.grant(now)
		return
	}
	l.ackSeq = max(l.ackSeq, holdSeq)
	if wantsShare(r) {
		l.applyLease(lease, requestedAt, now)
	} else {
		l.applyReport(lease, now)
	}
	l.grant(now)
}

// applyReport applies the answer to a request that asked for no share.
func (l *limiter) applyReport(lease protocol.Lease, now time.Time) {
	l.lease = lease
	l.lease.Pace = postdate.Pace{}
	if !l.hasPace && !lease.Required && len(l.waiting) == 0 && !l.urgent {
		l.leased, l.ackSeq = false, l.holdSeq
	} else if lease.Required && !l.leased {
		l.requireLease(now)
	}
	if lease.BlockedUntil.After(now) { // a request before that is no use
		l.queueUntil = earlier(lease.BlockedUntil, now.Add(protocol.LeaseTime))
	}
	l.urgent = l.urgent || len(l.waiting) > 0
}

// applyLease issues permits by lease from now on.
func (l *limiter) applyLease(lease protocol.Lease, requestedAt, now time.Time) {
	if !l.live(now) || l.lease.Pace.InFlight == 0 {
		l.bucket = bucket{at: now}
	}
	l.lease, l.until = lease, requestedAt.Add(lease.TTL.Duration())
	l.bucket.setShare(lease.Pace, lease.Tokens, now, len(l.waiting) > 0)
	if !l.onlyDequeued() {
		return
	}
	for _, w := range slices.Clone(l.waiting) {
		if !w.dequeued {
			l.resolve(w, nil, nil)
			l.queueUntil = now.Add(queueFor)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// close resolves all waiters, and reports whether there is a lease or a result to return.
func (l *limiter) close() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropped = true
	if l.timer != nil {
		l.timer.Stop()
	}
	for len(l.waiting) > 0 {
		l.resolve(l.waiting[0], nil, errClosed)
	}
	return l.live(l.p.config.Now()) || l.leased && l.feedback != throttle.Feedback{}
}

// returnLease returns the lease for good.
func (l *limiter) returnLease() {
	l.mu.Lock()
	r := l.leaseRequest(l.p.config.Now())
	l.mu.Unlock()
	if _, err := l.requestLease(r); err != nil { // the lease ends by itself
		l.p.config.Log.LogAttrs(l.p.ctx, slog.LevelInfo, "failed to return a lease",
			slog.String("tenant", l.tenant), slog.String("endpoint", l.id), slog.String("error", err.Error()))
	}
}
