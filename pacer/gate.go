package pacer

import (
	"container/heap"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

const (
	// troubling is how many failures in a row have an endpoint sent to by lease, or
	// held until its execution has been told of them.
	troubling = 3
	// refusing is for how long newcomers go in line once one of them did: its line
	// is not in the endpoint's books yet.
	refusing = 2 * time.Second
	// crowd is how many turns may be waited for in place whatever is known of their
	// endpoint, and guess how long an attempt takes where none has told.
	crowd = 10
	guess = 200 * time.Millisecond
)

// gate is one endpoint's. It is calm, and only counts, or engaged: then turns are
// given by lease.
type gate struct {
	gateKey

	p  *Pacer
	mu sync.Mutex

	pace    postdate.Pace // its limits
	paced   bool
	engaged bool
	gone    bool // from the pacer
	usedAt  time.Time

	inFlight int
	waiting  waiters
	wanted   int               // turns, by those who wait
	seen     postdate.Observed // since it was told last
	trailing int               // failures in a row
	takes    time.Duration     // how long an attempt does, of late: zero where none was made

	lease  workflows.Lease
	until  time.Time // when that ends: zero where there is none
	bucket bucket
	// held is how often attempts were held back until the endpoint was told, and
	// open up to which of them it knows.
	held, open int

	refuseUntil time.Time // whoever was not called
	troubledAt  time.Time

	asking  bool // a request is under way
	askedAt time.Time
	idleAt  time.Time
	urgent  bool
	err     error // why the last request failed

	timer  *time.Timer
	wakeAt time.Time
	// reportAt is when a calm endpoint is told of.
	reportAt time.Time
}

// enter has a claim wait, or gives it its turn at once. It answers nil where no
// turn comes soon, and false where the gate is gone.
func (g *gate) enter(e postdate.Endpoint, c activities.Claim) (*waiter, bool) {
	now := g.p.config.Now()
	pace := e.Pace(g.p.config.MaxInFlight)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.gone {
		return nil, false
	}
	g.usedAt = now
	if pace != g.pace || e.Paced() != g.paced {
		g.urgent = g.urgent || g.live(now)
		g.pace, g.paced = pace, e.Paced()
	}
	if g.paced && !g.engaged {
		g.engage(now)
	}
	turns := max(1, c.Turns)
	if !g.engaged && len(g.waiting) == 0 && g.room(now, turns) {
		return &waiter{turn: g.begin(turns)}, true
	}
	if g.engaged && !c.Called && g.refuses(now) {
		return nil, true
	}
	if !c.Called && (g.crowded() || !g.holds(turns, now)) {
		if !g.engaged {
			g.engage(now)
		}
		g.refuseUntil = now.Add(refusing)
		g.pump(now)
		return nil, true
	}
	w := &waiter{since: c.Since, turns: turns, called: c.Called, done: make(chan struct{})}
	heap.Push(&g.waiting, w)
	g.wanted += turns
	if g.engaged && !g.usable(now) && len(g.waiting) == 1 {
		g.urgent = true
	}
	g.pump(now)
	return w, true
}

// await waits for the turn of w, as long as its patience lasts.
func (g *gate) await(ctx context.Context, w *waiter, patience time.Duration) (activities.Turn, error) {
	if w.done != nil {
		timer := time.NewTimer(patience)
		defer timer.Stop()
		select {
		case <-w.done:
		case <-timer.C:
			g.giveUp(w) //nolint:contextcheck // see Pacer.ctx
		case <-ctx.Done():
			g.leave(w) //nolint:contextcheck // see Pacer.ctx
			return nil, ctx.Err()
		}
	}
	if w.turn == nil {
		return nil, w.err
	}
	return w.turn, nil
}

// giveUp ends the waiting of w, whose patience is over, unless its turn has come.
func (g *gate) giveUp(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.place < 0 {
		return
	}
	now := g.p.config.Now()
	var err error
	switch {
	case !g.engaged: // its cap is reached for longer than that
		g.engage(now)
	case g.err != nil && !g.live(now):
		err = fmt.Errorf("ask for a share of endpoint %s: %w", g.id, g.err)
	}
	if err == nil && !w.called {
		g.refuseUntil = now.Add(refusing)
	}
	g.answer(w, nil, err)
	g.pump(now)
}

// answer ends the waiting of one.
func (g *gate) answer(w *waiter, t *turn, err error) {
	heap.Remove(&g.waiting, w.place)
	g.wanted -= w.turns
	w.turn, w.err = t, err
	close(w.done)
}

// leave ends the waiting of w, which wants no turn any more.
func (g *gate) leave(w *waiter) {
	g.mu.Lock()
	if w.place >= 0 {
		g.answer(w, nil, nil)
		g.pump(g.p.config.Now())
	}
	t := w.turn
	g.mu.Unlock()
	if t != nil {
		for range w.turns {
			t.Done(postdate.Attempt{})
		}
	}
}

// engage has turns given by lease from now on.
func (g *gate) engage(now time.Time) {
	g.engaged, g.urgent, g.troubledAt = true, true, now
}

// refuses tells whether a claim that was not called goes in line at once.
func (g *gate) refuses(now time.Time) bool {
	return now.Before(g.refuseUntil) || g.live(now) && g.passesNobody()
}

// crowded tells whether so many wait in place already that who joined them would
// not get a turn as long as the patience lasts: each of them holds an execution.
func (g *gate) crowded() bool {
	takes := guess
	switch {
	case g.takes > 0:
		takes = g.takes
	case g.paced: // as somebody has set who knows that it is slow
		takes = g.p.config.Patience
	}
	rounds := float64(g.p.config.Patience) / float64(takes)
	return g.wanted >= max(crowd, int(rounds*float64(g.pace.InFlight)))
}

// holds tells whether so many turns can ever be given at once, by what is known now.
func (g *gate) holds(turns int, now time.Time) bool {
	pace := g.pace
	if g.live(now) {
		pace = g.lease.Pace
	}
	return turns == 1 || turns <= pace.InFlight && (pace.PerSecond == 0 || turns <= pace.Burst)
}

func (g *gate) passesNobody() bool { return g.lease.Waiting > 0 || g.lease.Pace.InFlight == 0 }

func (g *gate) live(now time.Time) bool   { return now.Before(g.until) }
func (g *gate) usable(now time.Time) bool { return g.live(now) && g.lease.Pace.InFlight > 0 }

// room tells whether so many more attempts may be under way. It says nothing of the
// rate.
func (g *gate) room(now time.Time, turns int) bool {
	if !g.engaged {
		return g.inFlight+turns <= g.pace.InFlight
	}
	return g.live(now) && g.inFlight+turns <= g.lease.Pace.InFlight && g.held == g.open
}

// pump gives the turns that there are, and sees to it that others come.
func (g *gate) pump(now time.Time) {
	var next time.Time
	if g.engaged {
		g.bucket.fill(now, len(g.waiting) > 0)
	}
	for len(g.waiting) > 0 {
		first := g.waiting[0]
		if !g.holds(first.turns, now) {
			g.refuseUntil = now.Add(refusing)
			g.answer(first, nil, nil)
			continue
		}
		if !g.room(now, first.turns) {
			break
		}
		if g.engaged {
			has, at := g.bucket.take(first.turns)
			if !has {
				next = at
				break
			}
		}
		g.answer(first, g.begin(first.turns), nil)
	}
	g.plan(now, next)
}

// forget tells whether g may be dropped, and has it gone then.
func (g *gate) forget(now time.Time) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	busy := g.inFlight > 0 || len(g.waiting) > 0 || g.asking || g.until.After(now) || g.seen != postdate.Observed{} ||
		g.lease.ClosedUntil.After(now)
	if busy || now.Sub(g.usedAt) < forgotten {
		return false
	}
	g.gone = true
	if g.timer != nil {
		g.timer.Stop()
	}
	return true
}
