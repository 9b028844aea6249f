package pacer

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// leaseAfterFailures is the number of consecutive failures after which an endpoint is
	// leased, and after which a leased one issues no permits until they are reported.
	leaseAfterFailures = 3
	// queueFor is how long newcomers are queued once one delivery was: its line may not
	// have joined the endpoint's queue yet.
	queueFor = 2 * time.Second
	// maxLocalWaiters is how many permits may be waited for in place whatever is known of
	// the endpoint, and defaultDuration what an attempt takes where nothing is known.
	maxLocalWaiters = 10
	defaultDuration = 200 * time.Millisecond
)

// limiter issues the permits of one endpoint.
type limiter struct {
	limiterKey

	p     *Pacer
	local bool // it is never leased: see local.go
	mu    sync.Mutex

	pace    postdate.Pace // the endpoint's limits
	hasPace bool          // the endpoint has a pace of its own: it is always leased
	leased  bool
	dropped bool // from the pacer
	usedAt  time.Time

	inFlight            int
	progressAt          time.Time // when an attempt began or ended last
	waiting             waiters
	waitingPermits      int               // the sum of waiting's n
	feedback            throttle.Feedback // since the last report
	consecutiveFailures int
	avgDuration         time.Duration // of recent attempts: zero where there were none

	lease  protocol.Lease
	until  time.Time // when the lease ends: zero where there is none
	bucket bucket
	// holdSeq counts the bursts of failures, and ackSeq is how many of them the
	// endpoint's execution has received. While they differ no permit is issued.
	holdSeq, ackSeq int

	queueUntil time.Time // until when deliveries that were not dequeued are queued
	failedAt   time.Time

	requesting  bool // a lease request is under way
	requestedAt time.Time
	idleAt      time.Time
	urgent      bool  // the next lease request does not wait for its interval
	err         error // of the last lease request

	throttle throttle.Throttle // of a local limiter
	schedule schedule          // of its refused requests

	timer  *time.Timer
	wakeAt time.Time
	// reportAt is when an unleased endpoint's results are reported.
	reportAt time.Time
}

// acquire returns a waiter, which has its permit already where one is free. It returns
// [throttle.ErrNoPermit] where none comes soon.
func (l *limiter) acquire(e postdate.Endpoint, r throttle.PermitRequest) (*waiter, error) {
	now := l.p.config.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped {
		return nil, errDropped
	}
	l.usedAt = now
	l.setPace(e, now)
	if !l.leased && len(l.waiting) == 0 && l.bucket.rate == 0 && l.room(now, r.N) {
		return &waiter{permit: l.issue(r.N, now)}, nil
	}
	if l.leased && !r.Dequeued && l.mustQueue(now) {
		return nil, l.noPermit(now)
	}
	refused := !r.Dequeued && (l.nearlyFull(now) || !l.canGrant(r.N, now)) || l.local && l.blockedBeyond(now.Add(r.MaxWait))
	if refused || !r.Dequeued && !l.p.slots.beginWait(l.tenant) {
		if !l.leased {
			l.requireLease(now)
		}
		l.queueUntil = now.Add(queueFor)
		l.grant(now)
		return nil, l.noPermit(now)
	}
	w := &waiter{since: r.Since, n: r.N, dequeued: r.Dequeued, done: make(chan struct{})}
	heap.Push(&l.waiting, w)
	l.waitingPermits += r.N
	if l.leased && !l.usable(now) && len(l.waiting) == 1 {
		l.urgent = true
	}
	l.grant(now)
	return w, nil
}

// setPace applies the endpoint's limits.
func (l *limiter) setPace(e postdate.Endpoint, now time.Time) {
	pace := e.Pace(l.p.config.MaxInFlight)
	if l.local {
		l.setLocalPace(pace, now)
		return
	}
	if pace != l.pace || e.Paced() != l.hasPace {
		l.urgent = l.urgent || l.live(now)
		l.pace, l.hasPace = pace, e.Paced()
	}
	if l.hasPace && !l.leased {
		l.requireLease(now)
	}
}

// await waits until w is resolved, for maxWait at most.
func (l *limiter) await(ctx context.Context, w *waiter, maxWait time.Duration) (*permit, error) {
	if w.done != nil {
		timer := time.NewTimer(maxWait)
		defer timer.Stop()
		select {
		case <-w.done:
		case <-timer.C:
			l.giveUp(w) //nolint:contextcheck // see Pacer.ctx
		case <-ctx.Done():
			l.abandon(w) //nolint:contextcheck // see Pacer.ctx
			return nil, ctx.Err()
		}
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case w.permit == nil:
		return nil, throttle.ErrNoPermit
	}
	return w.permit, nil
}

// giveUp resolves w, which has waited for as long as it may, unless it just got its permit.
func (l *limiter) giveUp(w *waiter) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.index < 0 {
		return
	}
	now := l.p.config.Now()
	var err error
	switch {
	case !l.leased: // its limit has been reached for that long
		l.requireLease(now)
	case l.err != nil && !l.live(now):
		err = fmt.Errorf("request a lease of endpoint %s: %w", l.id, l.err)
	}
	if err == nil && !w.dequeued {
		l.queueUntil = now.Add(queueFor)
	}
	if err == nil {
		err = l.noPermit(now)
	}
	l.resolve(w, nil, err)
	l.grant(now)
}

// resolve ends the wait of w.
func (l *limiter) resolve(w *waiter, p *permit, err error) {
	heap.Remove(&l.waiting, w.index)
	l.waitingPermits -= w.n
	if !w.dequeued {
		l.p.slots.endWait(l.tenant)
	}
	w.permit, w.err = p, err
	close(w.done)
}

// abandon ends the wait of w, whose context is done. A permit that it just got is released.
func (l *limiter) abandon(w *waiter) {
	l.mu.Lock()
	if w.index >= 0 {
		l.resolve(w, nil, nil)
		l.grant(l.p.config.Now())
	}
	p := w.permit
	l.mu.Unlock()
	if p != nil {
		p.releaseUnused()
	}
}

// requireLease makes l leased. A local one never is.
func (l *limiter) requireLease(now time.Time) {
	if l.local {
		return
	}
	l.leased, l.urgent, l.failedAt = true, true, now
}

// mustQueue reports whether a delivery that was not dequeued is queued at once.
func (l *limiter) mustQueue(now time.Time) bool {
	return now.Before(l.queueUntil) || l.live(now) && l.onlyDequeued()
}

// nearlyFull reports whether so many requests wait in place, or attempts take so long, that
// another request would not get its permit within MaxWait. Each waiting request holds an
// execution.
func (l *limiter) nearlyFull(now time.Time) bool {
	if l.stalled(now) >= l.p.config.MaxWait {
		return true
	}
	duration := defaultDuration
	switch {
	case l.avgDuration > 0:
		duration = l.avgDuration
	case l.hasPace: // set by somebody who knows the endpoint to be slow
		duration = l.p.config.MaxWait
	}
	rounds := float64(l.p.config.MaxWait) / float64(duration)
	return l.waitingPermits >= max(maxLocalWaiters, int(rounds*float64(l.pace.InFlight)))
}

// stalled is for how long no attempt has begun or ended, while as many as may be are in
// flight.
func (l *limiter) stalled(now time.Time) time.Duration {
	limit := l.localPace(now).InFlight
	if l.leased {
		limit = l.lease.Pace.InFlight
	}
	if l.inFlight == 0 || l.inFlight < limit || l.leased && !l.live(now) {
		return 0
	}
	return now.Sub(l.progressAt)
}

// canGrant reports whether a permit for n attempts can ever be issued, as things are.
func (l *limiter) canGrant(n int, now time.Time) bool {
	pace := l.pace
	if l.live(now) {
		pace = l.lease.Pace
	}
	return n == 1 || n <= pace.InFlight && (pace.PerSecond == 0 || n <= pace.Burst)
}

func (l *limiter) onlyDequeued() bool { return l.lease.Waiting > 0 || l.lease.Pace.InFlight == 0 }

func (l *limiter) live(now time.Time) bool   { return now.Before(l.until) }
func (l *limiter) usable(now time.Time) bool { return l.live(now) && l.lease.Pace.InFlight > 0 }

// room reports whether n more attempts may be in flight, whatever the rate.
func (l *limiter) room(now time.Time, n int) bool {
	if !l.leased {
		return l.inFlight+n <= l.localPace(now).InFlight
	}
	return l.live(now) && l.inFlight+n <= l.lease.Pace.InFlight && l.holdSeq == l.ackSeq
}

// grant issues permits to waiting requests as far as it may, and schedules the next look.
func (l *limiter) grant(now time.Time) {
	var next time.Time
	if l.leased || l.local {
		l.bucket.fill(now, len(l.waiting) > 0)
	}
	for len(l.waiting) > 0 {
		first := l.waiting[0]
		if !l.canGrant(first.n, now) {
			l.queueUntil = now.Add(queueFor)
			l.resolve(first, nil, nil)
			continue
		}
		if !l.room(now, first.n) {
			next = l.localBlockedUntil(now)
			break
		}
		if l.leased || l.local {
			ok, at := l.bucket.take(first.n)
			if !ok {
				next = at
				break
			}
		}
		l.resolve(first, l.issue(first.n, now), nil)
	}
	l.scheduleWake(now, next)
}

// drop marks l as dropped and returns true, where l is not in use.
func (l *limiter) drop(now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	busy := l.inFlight > 0 || len(l.waiting) > 0 || l.requesting || l.until.After(now) || l.feedback != throttle.Feedback{} ||
		l.lease.BlockedUntil.After(now) || l.throttle.Active(now)
	if busy || now.Sub(l.usedAt) < dropAfter {
		return false
	}
	l.dropped = true
	if l.timer != nil {
		l.timer.Stop()
	}
	return true
}
