package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// idleTimeout is how long an unused endpoint's execution runs on.
	idleTimeout = 10 * time.Minute
	// maxSleep bounds the time between two decisions while lines wait.
	maxSleep = 5 * time.Minute
)

// apply decides what to do now, records the decision and carries it out. It returns the
// lease for the request, if there is one.
func (e *endpoint) apply(ctx workflow.Context, r *protocol.LeaseRequest) protocol.Lease {
	now := workflow.Now(ctx)
	e.queue.expireWakes(now)
	var d protocol.EndpointDecision
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return e.evaluate(r, now) })
	if err := recorded.Get(&d); err != nil {
		panic(err) // the task is retried: a decision cannot be guessed
	}
	before := e.Throttle
	e.Throttle = d.Throttle
	e.logBreaker(before)
	e.Pool = protocol.TokenPool{Tokens: d.Tokens, At: now}
	e.dropExpired(now)
	if r != nil {
		e.setLeaseholder(d.Holder)
		e.Recent = addRecent(e.Recent, r.Feedback, now)
	}
	for _, id := range d.Call {
		e.wakeLine(id, now)
	}
	if d.Read {
		e.ReadAt = now
		e.readSettings()
	}
	if d.Canary != nil {
		e.changeCanary(*d.Canary)
	}
	e.setOverloaded(d.Overloaded, now)
	e.wakeAt, e.done = d.Wake, d.Over
	if d.Lease == nil {
		return protocol.Lease{}
	}
	return *d.Lease
}

// evaluate decides what to do now. It changes nothing: its result is recorded, and is
// applied as recorded when the execution is replayed.
func (e *endpoint) evaluate(r *protocol.LeaseRequest, now time.Time) protocol.EndpointDecision {
	d := protocol.EndpointDecision{Throttle: e.Throttle}
	recent := e.Recent
	if r != nil {
		d.Throttle = e.Throttle.Observe(r.Feedback, now)
		recent = addRecent(recent, r.Feedback, now)
	}
	pace := e.pace(d.Throttle, now)
	d.Tokens = tokensAt(e.Pool, now, pace, e.Leases)
	if r != nil {
		lease := e.grant(*r, d.Throttle, now, &d)
		d.Lease = &lease
	}
	d.Call = e.toWake(d.Throttle, now)
	d.Overloaded = e.isOverloaded(d.Throttle, recent, now)
	d.Read = e.queue.len() > 0 && !e.enabled() && !e.deleted() && !e.reading && now.Sub(e.ReadAt) >= settingsInterval
	d.Canary = e.decideCanary(now)
	d.Wake, d.Over = e.nextWake(d, now)
	return d
}

// nextWake is when to decide next, and whether the execution ends instead.
func (e *endpoint) nextWake(d protocol.EndpointDecision, now time.Time) (time.Time, bool) {
	blockedUntil := d.Throttle.BlockedUntil(now)
	canaryWake := e.canaryWake(now)
	if e.queue.len() == 0 && !canaryWake.IsZero() {
		return canaryWake, false
	}
	if e.queue.len() == 0 {
		unused := blockedUntil.IsZero() && e.News == nil && !e.hasLeaseholders(d.Holder, now)
		if unused && (e.deleted() || now.Sub(e.BusyAt) >= idleTimeout) {
			return now, true
		}
		if e.deleted() {
			return now.Add(protocol.LeaseTime), false
		}
		return latestOf(e.BusyAt.Add(idleTimeout), blockedUntil, now.Add(time.Second)), false
	}
	wake := now.Add(maxSleep)
	sooner := func(at time.Time) {
		if at.After(now) && at.Before(wake) {
			wake = at
		}
	}
	sooner(blockedUntil)
	sooner(canaryWake)
	if !e.enabled() {
		sooner(now.Add(settingsInterval))
	}
	if len(d.Call) > 0 {
		sooner(now.Add(wakeTimeout))
	}
	if e.deleted() {
		sooner(now.Add(time.Second)) // for the next lines
	}
	if len(e.queue.woken) > 0 {
		sooner(time.UnixMilli(e.queue.woken[0].Called).Add(wakeTimeout))
	}
	if len(e.queue.resting) > 0 {
		sooner(time.UnixMilli(e.queue.resting[0].Rest))
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

// pace is what may be sent now, over all processes.
func (e *endpoint) pace(t throttle.Throttle, now time.Time) postdate.Pace {
	if !e.enabled() {
		return postdate.Pace{}
	}
	return t.Pace(e.Settings.Pace, now)
}
