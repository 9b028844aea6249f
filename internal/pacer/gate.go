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
	// leaseAfterFailures is how many failures in a row have an endpoint sent to by lease, or
	// held until its execution has been told of them.
	leaseAfterFailures = 3
	// queueFor is for how long newcomers go in line once one of them did: its line
	// is not in the endpoint's books yet.
	queueFor = 2 * time.Second
	// maxLocalWaiters is how many turns may be waited for in place whatever is known of their
	// endpoint, and guess how long an attempt takes where none has told.
	maxLocalWaiters = 10
	defaultDuration = 200 * time.Millisecond
)

// limiter is one endpoint's. It is calm, and only counts, or engaged: then turns are
// given by lease.
type limiter struct {
	limiterKey

	p  *Pacer
	mu sync.Mutex

	pace    postdate.Pace // its limits
	hasPace bool
	leased  bool
	dropped bool // from the pacer
	usedAt  time.Time

	inFlight            int
	waiting             waiters
	waitingPermits      int               // turns, by those who wait
	feedback            throttle.Feedback // since it was told last
	consecutiveFailures int               // failures in a row
	avgDuration         time.Duration     // how long an attempt does, of late: zero where none was made

	lease  protocol.Lease
	until  time.Time // when that ends: zero where there is none
	bucket bucket
	// holdSeq is how often attempts were held back until the endpoint was told, and
	// open up to which of them it knows.
	holdSeq, ackSeq int

	queueUntil time.Time // whoever was not called
	failedAt   time.Time

	requesting  bool // a request is under way
	requestedAt time.Time
	idleAt      time.Time
	urgent      bool
	err         error // why the last request failed

	timer  *time.Timer
	wakeAt time.Time
	// reportAt is when a calm endpoint is told of.
	reportAt time.Time
}

// acquire has a claim wait, or gives it its turn at once. It answers nil where no
// turn comes soon, and false where the gate is gone.
func (g *limiter) acquire(e postdate.Endpoint, c throttle.PermitRequest) (*waiter, bool) {
	now := g.p.config.Now()
	pace := e.Pace(g.p.config.MaxInFlight)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.dropped {
		return nil, false
	}
	g.usedAt = now
	if pace != g.pace || e.Paced() != g.hasPace {
		g.urgent = g.urgent || g.live(now)
		g.pace, g.hasPace = pace, e.Paced()
	}
	if g.hasPace && !g.leased {
		g.requireLease(now)
	}
	turns := max(1, c.N)
	if !g.leased && len(g.waiting) == 0 && g.room(now, turns) {
		return &waiter{permit: g.issue(turns)}, true
	}
	if g.leased && !c.Dequeued && g.mustQueue(now) {
		return nil, true
	}
	if !c.Dequeued && (g.nearlyFull() || !g.canGrant(turns, now)) {
		if !g.leased {
			g.requireLease(now)
		}
		g.queueUntil = now.Add(queueFor)
		g.grant(now)
		return nil, true
	}
	w := &waiter{since: c.Since, n: turns, dequeued: c.Dequeued, done: make(chan struct{})}
	heap.Push(&g.waiting, w)
	g.waitingPermits += turns
	if g.leased && !g.usable(now) && len(g.waiting) == 1 {
		g.urgent = true
	}
	g.grant(now)
	return w, true
}

// await waits for the turn of w, as long as its patience lasts.
func (g *limiter) await(ctx context.Context, w *waiter, patience time.Duration) (throttle.Permit, error) {
	if w.done != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-w.done:
		case <-timer.C:
			g.giveUp(w) //nolint:contextcheck // see Pacer.ctx
		case <-ctx.Done():
			g.abandon(w) //nolint:contextcheck // see Pacer.ctx
			return nil, ctx.Err()
		}
	}
	switch {
	case w.err != nil:
		return nil, w.err
	case w.permit == nil:
		return nil, throttle.ErrNoPermit
	}
	return w.permit.done, nil
}

// giveUp ends the waiting of w, whose patience is over, unless its turn has come.
func (g *limiter) giveUp(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place < 0 {
		return
	}
	now := g.p.config.Now()
	var err error
	switch {
	case !g.leased: // its cap is reached for longer than that
		g.requireLease(now)
	case g.err != nil && !g.live(now):
		err = fmt.Errorf("ask for a share of endpoint %s: %w", g.id, g.err)
	}
	if err == nil && !w.dequeued {
		g.queueUntil = now.Add(queueFor)
	}
	g.resolve(w, nil, err)
	g.grant(now)
}

// resolve ends the waiting of one.
func (g *limiter) resolve(w *waiter, t *permit, err error) {
	heap.Remove(&g.waiting, w.place)
	g.waitingPermits -= w.n
	w.permit, w.err = t, err
	close(w.done)
}

// abandon ends the waiting of w, which wants no turn any more.
func (g *limiter) abandon(w *waiter) {
	g.mu.Lock()
	if w.place >= 0 {
		g.resolve(w, nil, nil)
		g.grant(g.p.config.Now())
	}
	t := w.permit
	g.mu.Unlock()
	if t != nil {
		for range w.n {
			t.done(postdate.Attempt{})
		}
	}
}

// requireLease has turns given by lease from now on.
func (g *limiter) requireLease(now time.Time) {
	g.leased, g.urgent, g.failedAt = true, true, now
}

// mustQueue tells whether a claim that was not called goes in line at once.
func (g *limiter) mustQueue(now time.Time) bool {
	return now.Before(g.queueUntil) || g.live(now) && g.onlyDequeued()
}

// nearlyFull tells whether so many wait in place already that who joined them would
// not get a turn as long as the patience lasts: each of them holds an execution.
func (g *limiter) nearlyFull() bool {
	takes := defaultDuration
	switch {
	case g.avgDuration > 0:
		takes = g.avgDuration
	case g.hasPace: // as somebody has set who knows that it is slow
		takes = g.p.config.MaxWait
	}
	rounds := float64(g.p.config.MaxWait) / float64(takes)
	return g.waitingPermits >= max(maxLocalWaiters, int(rounds*float64(g.pace.InFlight)))
}

// canGrant tells whether so many turns can ever be given at once, by what is known now.
func (g *limiter) canGrant(turns int, now time.Time) bool {
	pace := g.pace
	if g.live(now) {
		pace = g.lease.Pace
	}
	return turns == 1 || turns <= pace.InFlight && (pace.PerSecond == 0 || turns <= pace.Burst)
}

func (g *limiter) onlyDequeued() bool { return g.lease.Waiting > 0 || g.lease.Pace.InFlight == 0 }

func (g *limiter) live(now time.Time) bool   { return now.Before(g.until) }
func (g *limiter) usable(now time.Time) bool { return g.live(now) && g.lease.Pace.InFlight > 0 }

// room tells whether so many more attempts may be under way. It says nothing of the
// rate.
func (g *limiter) room(now time.Time, turns int) bool {
	if !g.leased {
		return g.inFlight+turns <= g.pace.InFlight
	}
	return g.live(now) && g.inFlight+turns <= g.lease.Pace.InFlight && g.holdSeq == g.ackSeq
}

// grant gives the turns that there are, and sees to it that others come.
func (g *limiter) grant(now time.Time) {
	var next time.Time
	if g.leased {
		g.bucket.fill(now, len(g.waiting) > 0)
	}
	for len(g.waiting) > 0 {
		first := g.waiting[0]
		if !g.canGrant(first.n, now) {
			g.queueUntil = now.Add(queueFor)
			g.resolve(first, nil, nil)
			continue
		}
		if !g.room(now, first.n) {
			break
		}
		if g.leased {
			has, at := g.bucket.take(first.n)
			if !has {
				next = at
				break
			}
		}
		g.resolve(first, g.issue(first.n), nil)
	}
	g.scheduleWake(now, next)
}

// drop tells whether g may be dropped, and has it gone then.
func (g *limiter) drop(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy := g.inFlight > 0 || len(g.waiting) > 0 || g.requesting || g.until.After(now) || g.feedback != throttle.Feedback{} ||
		g.lease.BlockedUntil.After(now)
	if busy || now.Sub(g.usedAt) < dropAfter {
		return false
	}
	g.dropped = true
	if g.timer != nil {
		g.timer.Stop()
	}
	return true
}
