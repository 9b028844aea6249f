package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// decision is what an Endpoint does next. It is recorded, so that an execution
// replays as it ran, though the constants by which it was decided have changed.
type decision struct {
	Flow postdate.Flow `json:"flow"`
	// Lease is what is answered to whoever asked for one, Holder what it has then,
	// and Tokens what remains in the bank.
	Lease  *Lease  `json:"lease,omitempty"`
	Holder Holder  `json:"holder,omitzero"`
	Tokens float64 `json:"tokens,omitempty"`
	// Call are the lines to be called, by id.
	Call []string `json:"call,omitempty"`
	// Wake is when to decide anew, if nobody comes before.
	Wake       time.Time `json:"wake"`
	Read       bool      `json:"read,omitempty"` // the settings
	Overloaded bool      `json:"overloaded,omitempty"`
	Over       bool      `json:"over,omitempty"`
}

const (
	// idleFor is how long an endpoint remembers, when nobody is there.
	idleFor = 10 * time.Minute
	// lookEvery is how often it looks at those who wait, when nothing happens.
	lookEvery = 5 * time.Minute
)

// decide decides what to do now, on behalf of who asks for a lease, if anybody
// does, and does it.
func (e *endpoint) decide(ctx workflow.Context, ask *AskLease) Lease {
	now := workflow.Now(ctx)
	var d decision
	recorded := workflow.SideEffect(ctx, func(workflow.Context) any { return e.weigh(ask, now) })
	if err := recorded.Get(&d); err != nil {
		panic(err) // the task is tried again: what was decided cannot be guessed
	}
	before := e.Flow
	e.Flow = d.Flow
	e.logBreaker(before)
	e.Bank = Bank{Tokens: d.Tokens, At: now}
	e.forget(now)
	if ask != nil {
		e.hold(d.Holder)
		e.Lately = e.Lately.with(ask.Seen, now)
	}
	for _, id := range d.Call {
		e.call(id, now)
	}
	if d.Read {
		e.ReadAt = now
		e.read()
	}
	e.overload(d.Overloaded, now)
	e.wake, e.over = d.Wake, d.Over
	if d.Lease == nil {
		return Lease{}
	}
	return *d.Lease
}

// weigh decides what to do now. It changes nothing.
func (e *endpoint) weigh(ask *AskLease, now time.Time) decision {
	d := decision{Flow: e.Flow}
	seen := e.Lately
	if ask != nil {
		d.Flow = e.Flow.Observe(ask.Seen, now)
		seen = seen.with(ask.Seen, now)
	}
	pace := e.pace(d.Flow, now)
	d.Tokens = e.Bank.at(now, pace, e.Leases)
	if ask != nil {
		lease := e.give(*ask, d.Flow, now, &d)
		d.Lease = &lease
	}
	d.Call = e.toCall(d.Flow, now)
	d.Overloaded = e.overloaded(d.Flow, seen, now)
	d.Read = len(e.Lines) > 0 && !e.enabled() && !e.deleted() && !e.reading && now.Sub(e.ReadAt) >= settingsEvery
	d.Wake, d.Over = e.next(d, now)
	return d
}

// next is when to decide anew, and whether it is over before that.
func (e *endpoint) next(d decision, now time.Time) (time.Time, bool) {
	closed := d.Flow.ClosedUntil(now)
	if len(e.Lines) == 0 {
		quiet := closed.IsZero() && e.News == nil && !e.holding(d.Holder, now)
		if quiet && (e.deleted() || now.Sub(e.BusyAt) >= idleFor) {
			return now, true
		}
		if e.deleted() {
			return now.Add(LeaseTime), false
		}
		return latest(e.BusyAt.Add(idleFor), closed, now.Add(time.Second)), false
	}
	wake := now.Add(lookEvery)
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
		sooner(now.Add(calledFor))
	}
	if e.deleted() {
		sooner(now.Add(time.Second)) // for the next of those who wait
	}
	for _, line := range e.Lines {
		if line.Called > 0 {
			sooner(time.UnixMilli(line.Called).Add(calledFor))
		} else {
			sooner(time.UnixMilli(line.Rest))
		}
	}
	return wake, false
}

func latest(times ...time.Time) time.Time {
	last := times[0]
	for _, t := range times[1:] {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// pace is what may be sent now, over all workers.
func (e *endpoint) pace(f postdate.Flow, now time.Time) postdate.Pace {
	if !e.enabled() {
		return postdate.Pace{}
	}
	return f.Pace(e.Settings.Pace, now)
}
