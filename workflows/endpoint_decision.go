package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// idleTimeout is how long an endpoint remembers, when nobody is there.
	idleTimeout = 10 * time.Minute
	// maxSleep is how often it looks at those who wait, when nothing happens.
	maxSleep = 5 * time.Minute
)

// apply decides what to do now, on behalf of who asks for a lease, if anybody
// does, and does it.
func (e *endpoint) apply(ctx workflow.Context, ask *protocol.LeaseRequest) protocol.Lease {
	now := workflow.Now(ctx)
	var d protocol.EndpointDecision
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return e.evaluate(ask, now) })
	if err := recorded.Get(&d); err != nil {
		panic(err) // the task is tried again: what was decided cannot be guessed
	}
	before := e.Throttle
	e.Throttle = d.Throttle
	e.logBreaker(before)
	e.Pool = protocol.TokenPool{Tokens: d.Tokens, At: now}
	e.dropExpired(now)
	if ask != nil {
		e.setLeaseholder(d.Holder)
		e.Recent = addRecent(e.Recent, ask.Feedback, now)
	}
	for _, id := range d.Call {
		e.wakeLine(id, now)
	}
	if d.Read {
		e.ReadAt = now
		e.readSettings()
	}
	e.setOverloaded(d.Overloaded, now)
	e.wakeAt, e.done = d.Wake, d.Over
	if d.Lease == nil {
		return protocol.Lease{}
	}
	return *d.Lease
}

// evaluate decides what to do now. It changes nothing.
func (e *endpoint) evaluate(ask *protocol.LeaseRequest, now time.Time) protocol.EndpointDecision {
	d := protocol.EndpointDecision{Throttle: e.Throttle}
	seen := e.Recent
	if ask != nil {
		d.Throttle = e.Throttle.Observe(ask.Feedback, now)
		seen = addRecent(seen, ask.Feedback, now)
	}
	pace := e.pace(d.Throttle, now)
	d.Tokens = tokensAt(e.Pool, now, pace, e.Leases)
	if ask != nil {
		lease := e.grant(*ask, d.Throttle, now, &d)
		d.Lease = &lease
	}
	d.Call = e.toWake(d.Throttle, now)
	d.Overloaded = e.isOverloaded(d.Throttle, seen, now)
	d.Read = len(e.Lines) > 0 && !e.enabled() && !e.deleted() && !e.reading && now.Sub(e.ReadAt) >= settingsEvery
	d.Wake, d.Over = e.nextWake(d, now)
	return d
}

// leaseRequest is when to decide anew, and whether it is over before that.
func (e *endpoint) nextWake(d protocol.EndpointDecision, now time.Time) (time.Time, bool) {
	closed := d.Throttle.BlockedUntil(now)
	if len(e.Lines) == 0 {
		quiet := closed.IsZero() && e.News == nil && !e.hasLeaseholders(d.Holder, now)
		if quiet && (e.deleted() || now.Sub(e.BusyAt) >= idleTimeout) {
			return now, true
		}
		if e.deleted() {
			return now.Add(protocol.LeaseTime), false
		}
		return latestOf(e.BusyAt.Add(idleTimeout), closed, now.Add(time.Second)), false
	}
	wake := now.Add(maxSleep)
	sooner := func(at time.Time) {
		if at.After(now) && at.Before(wake) {
			wake = at
		}
	}
	sooner(closed)
	if !e.enabled() {
		sooner(now.Add(settingsEvery))
	}
	if len(d.Call) > 0 {
		sooner(now.Add(wakeTimeout))
	}
	if e.deleted() {
		sooner(now.Add(time.Second)) // for the next of those who wait
	}
	for _, line := range e.Lines {
		if line.Called > 0 {
			sooner(time.UnixMilli(line.Called).Add(wakeTimeout))
		} else {
			sooner(time.UnixMilli(line.Rest))
		}
	}
	return wake, false
}

func latestOf(times ...time.Time) time.Time {
	last := times[0]
	for _, t := range times[1:] {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// pace is what may be sent now, over all workers.
func (e *endpoint) pace(f throttle.Throttle, now time.Time) postdate.Pace {
	if !e.enabled() {
		return postdate.Pace{}
	}
	return f.Pace(e.Settings.Pace, now)
}
