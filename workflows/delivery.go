package workflows

import (
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
}

// DeliverResult is what a delivery leaves behind that was delivered or
// cancelled. One that died or expired leaves the same log in its failure.
type DeliverResult struct {
	Attempts postdate.Attempts `json:"attempts"`
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
}

func newDelivery(in DeliverInput) *delivery {
	return &delivery{
		DeliverInput: in,
		plan:         postdate.Plan{Retry: in.Retry, ExpiresAt: in.ExpiresAt, Before: in.Attempts.Next() - 1},
		state:        postdate.Scheduled,
	}
}

func (d *delivery) wished() bool { return d.wish != nothing }

// over tells whether it is decided how this execution ends.
func (d *delivery) over() bool { return d.state.Over() || d.anew }

// finish decides how the delivery ended.
func (d *delivery) finish(state postdate.State, reason string) {
	d.state, d.reason = state, reason
}

// putOff decides that the execution starts anew, to sleep until due.
func (d *delivery) putOff(due time.Time) {
	d.state, d.anew = postdate.Scheduled, true
	d.Shipment.DueAt = due
	d.Shipment.Message.Timestamp = due
}

// heed does what was wished for.
func (d *delivery) heed() {
	switch d.wish {
	case toCancel:
		d.finish(postdate.Cancelled, "")
	case toPutOff:
		due := d.Shipment.DueAt
		if !d.change.DueAt.IsZero() {
			due = d.change.DueAt
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
	update := State.ValueSet(string(state))
	if state == "" {
		update = State.ValueUnset()
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, update) // fails on no attributes at all, only
}
