package workflows

import (
	"encoding/json"
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// DeliverInput is one message on its way to one destination.
type DeliverInput struct {
	Shipment  activities.Shipment `json:"shipment"`
	Retry     postdate.Retry      `json:"retry"` // with its defaults
	ExpiresAt time.Time           `json:"expires_at,omitzero"`
	// Attempts were made by earlier runs: before a dead letter was retried, or
	// before the receiver or the caller put the message off.
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// Handed tells that the last of them was made just now, by a Dispatch: it is
	// the first of this round, and what follows from it is to be decided.
	Handed bool `json:"handed,omitempty"`
	// Plan is that of a round which goes on after the execution had to start
	// anew. Without it a round begins.
	Plan *postdate.Plan `json:"plan,omitempty"`
	// Line is the one in which it waits, where it was changed while it did.
	Line string `json:"line,omitempty"`
}

// DeliverResult is what a delivery leaves behind that was delivered or
// cancelled. One that died or expired leaves the same log in its failure.
type DeliverResult struct {
	Attempts postdate.Attempts `json:"attempts"`
	// Reason says why it was cancelled, where nobody asked for that.
	Reason string `json:"reason,omitempty"`
}

// Standing is the answer to an Update: where the delivery stands after it.
type Standing struct {
	State postdate.State `json:"state"`
	DueAt time.Time      `json:"due_at"`
}

// Accepted is what was accepted: kept in the memo, so that a repeated request
// finds what the first one said without reading the whole message.
type Accepted struct {
	// Digest tells whether a repeated request is the same.
	Digest string `json:"digest"`
	// To is the destination, for lists.
	To postdate.Destination `json:"to"`
	// At is when it was accepted. What is put off starts anew, later.
	At time.Time `json:"at"`
}

// grace is what an activity gets beyond the attempt's own timeout, so that the
// attempt's end is always told by the attempt.
const grace = 10 * time.Second

// A parked delivery asks for its endpoint again once after askAgain, and from
// then on every askRarely.
const (
	askAgain  = 5 * time.Second
	askRarely = time.Hour
)

// wish is what somebody wants of a delivery that has not ended. A greater one
// overrides a smaller one.
type wish int

const (
	nothing wish = iota
	toFire
	toPutOff
	toCancel
)

// delivery is the state of a Deliver execution.
type delivery struct {
	DeliverInput
	plan   postdate.Plan
	state  postdate.State
	reason string // why it ended, where it was not delivered
	wish   wish
	change postdate.Change // what the wish toPutOff asks for
	anew   bool            // it ends by starting anew, to sleep until another time
	marked postdate.State  // what the search attribute State says

	released   bool   // the endpoint may be sent to again, as somebody says who knows
	superseded bool   // a newer message took its place in line
	line       string // in which it waits, or has waited last
	left       bool   // that line has called it, and calls it no more
	asked      bool   // parked, it has asked for the endpoint again already
}

func newDelivery(in DeliverInput) *delivery {
	d := &delivery{
		DeliverInput: in,
		plan:         postdate.Plan{Retry: in.Retry, ExpiresAt: in.ExpiresAt, Before: in.Attempts.Next() - 1},
		state:        postdate.Scheduled,
		line:         in.Line,
	}
	if in.Handed {
		d.plan.Before--
	}
	if in.Plan != nil {
		d.plan = *in.Plan
	}
	return d
}

func (d *delivery) wished() bool { return d.wish != nothing }

// over tells whether it is decided how this execution ends.
func (d *delivery) over() bool { return d.state.Over() || d.anew }

// finish decides how the delivery ended.
func (d *delivery) finish(state postdate.State, reason string) {
	d.state, d.reason = state, reason
}

// startAnew decides that the execution starts anew.
func (d *delivery) startAnew() {
	d.state, d.anew, d.Handed = postdate.Scheduled, true, false
}

// putOff decides that the execution starts anew, to sleep until due. Of an event
// the time at which it happened stays.
func (d *delivery) putOff(due time.Time) {
	d.startAnew()
	d.Plan = nil
	d.Shipment.DueAt = due
	if d.Shipment.ID() == d.Shipment.Message.ID {
		d.Shipment.Message.Timestamp = due
	}
}

// heed does what was wished for.
func (d *delivery) heed() {
	switch d.wish {
	case toCancel:
		d.finish(postdate.Cancelled, "")
		d.anew = false
	case toPutOff:
		due := d.Shipment.DueAt
		if d.change.DueAt != nil {
			due = *d.change.DueAt
		}
		if d.change.Data != nil {
			d.Shipment.Message.Data = d.change.Data
		}
		d.putOff(due)
	case toFire, nothing:
	}
	d.wish = nothing
}

// mark sets the search attribute State, which tells what the engine's own
// status does not; an empty state unsets it.
func (d *delivery) mark(ctx workflow.Context, state postdate.State) {
	if d.marked == state {
		return
	}
	d.marked = state
	setState(ctx, state)
}

// setState sets the search attribute State of an execution; an empty one unsets it.
func setState(ctx workflow.Context, state postdate.State) {
	update := State.ValueSet(string(state))
	if state == "" {
		update = State.ValueUnset()
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, update) // fails on no attributes at all, only
}

// queued is d as it goes in line.
func (d *delivery) queued() activities.Queued {
	m, line := d.Shipment.Message, d.line
	if d.left {
		line = ""
	}
	return activities.Queued{
		Tenant: m.Tenant, Endpoint: d.Shipment.To.Endpoint, Line: line,
		Waiter: activities.Waiter{
			DeliveryID: d.Shipment.ID(), At: d.Shipment.DueAt, ExpiresAt: d.ExpiresAt, Key: activities.WaiterKey(m),
		},
	}
}

// news is the announcement of a delivery that died at that moment: the same one
// however often it is made of the same death.
func (d *delivery) news(at time.Time) activities.Announcement {
	m, to := d.Shipment.Message, d.Shipment.To
	letter := deadLetter{
		Tenant: m.Tenant, ID: d.Shipment.ID(), Type: m.Type, Entity: m.Entity, Endpoint: to.Endpoint,
		Attempts: d.Attempts.Next() - 1, Reason: d.reason,
	}
	data, _ := json.Marshal(letter) //workflowcheck:ignore strings and a number are always encoded alike, and always can be
	return activities.Announcement{
		ID:     activities.AnnouncementID(postdate.DeliveryDead, m.Tenant, d.Shipment.ID(), strconv.Itoa(d.Attempts.Next()-1)),
		Tenant: m.Tenant, Type: postdate.DeliveryDead, At: at, Data: data,
	}
}

// deadLetter is what is told of a delivery that died.
type deadLetter struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Entity   string `json:"entity,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason"`
}
