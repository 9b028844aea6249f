package workflows

import (
	"encoding/json"
	"strconv"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// activityGrace is what an activity gets beyond the attempt's own timeout, so that the
// attempt's end is always told by the attempt.
const activityGrace = 10 * time.Second

// A parked delivery asks for its endpoint again once after askAgain, and from
// then on every askRarely.
const (
	firstRecheck = 5 * time.Second
	laterRecheck = time.Hour
)

// pending is what somebody wants of a delivery that has not ended. A greater one
// overrides a smaller one.
type request int

const (
	noRequest request = iota
	fireRequest
	rescheduleRequest
	cancelRequest
)

// delivery is the state of a Deliver execution.
type delivery struct {
	protocol.DeliverInput
	plan          postdate.RetryPlan
	state         postdate.State
	reason        string // why it ended, where it was not delivered
	pending       request
	pendingChange postdate.Change // what the wish toPutOff asks for
	restart       bool            // it ends by starting anew, to sleep until another time
	shownState    postdate.State  // what the search attribute State says

	woken      bool   // the endpoint may be sent to again, as somebody says who knows
	superseded bool   // a newer message took its place in line
	line       string // in which it waits, or has waited last
	dequeued   bool   // that line has called it, and calls it no more
	rechecked  bool   // parked, it has asked for the endpoint again already
}

func newDelivery(in protocol.DeliverInput) *delivery {
	d := &delivery{
		DeliverInput: in,
		plan:         postdate.RetryPlan{Retry: in.Retry, ExpiresAt: in.ExpiresAt, Before: in.Attempts.Next() - 1},
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

func (d *delivery) isPending() bool { return d.pending != noRequest }

// done tells whether it is decided how this execution ends.
func (d *delivery) done() bool { return d.state.Final() || d.restart }

// finish decides how the delivery ended.
func (d *delivery) finish(state postdate.State, reason string) {
	d.state, d.reason = state, reason
}

// continueAsNew decides that the execution starts anew.
func (d *delivery) continueAsNew() {
	d.state, d.restart, d.Handed = postdate.Scheduled, true, false
}

// rescheduleTo decides that the execution starts anew, to sleep until due. Of an event
// the time at which it happened stays.
func (d *delivery) rescheduleTo(due time.Time) {
	d.continueAsNew()
	d.Plan = nil
	d.Shipment.DueAt = due
	if d.Shipment.ID() == d.Shipment.Message.ID {
		d.Shipment.Message.Timestamp = due
	}
}

// applyPending does what was wished for.
func (d *delivery) applyPending() {
	switch d.pending {
	case cancelRequest:
		d.finish(postdate.Cancelled, "")
		d.restart = false
	case rescheduleRequest:
		due := d.Shipment.DueAt
		if !d.pendingChange.DueAt.IsZero() {
			due = d.pendingChange.DueAt
		}
		if d.pendingChange.Data != nil {
			d.Shipment.Message.Data = d.pendingChange.Data
		}
		d.rescheduleTo(due)
	case fireRequest, noRequest:
	}
	d.pending = noRequest
}

// showState sets the search attribute State, which tells what the engine's own
// status does not; an empty state unsets it.
func (d *delivery) showState(ctx workflow.Context, state postdate.State) {
	if d.shownState == state {
		return
	}
	d.shownState = state
	setState(ctx, state)
}

// setState sets the search attribute State of an execution; an empty one unsets it.
func setState(ctx workflow.Context, state postdate.State) {
	update := protocol.AttrState.ValueSet(string(state))
	if state == "" {
		update = protocol.AttrState.ValueUnset()
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, update) // fails on no attributes at all, only
}

// toQueue is d as it goes in line.
func (d *delivery) enqueueRequest() protocol.EnqueueRequest {
	m, line := d.Shipment.Message, d.line
	if d.dequeued {
		line = ""
	}
	return protocol.EnqueueRequest{
		Tenant: m.Tenant, Endpoint: d.Shipment.To.Endpoint, Line: line,
		Entry: protocol.QueueEntry{
			DeliveryID: d.Shipment.ID(), At: d.Shipment.DueAt, Terms: d.Terms, Key: protocol.CoalesceKey(m),
		},
	}
}

// announcements is the announcement of a delivery that died at that moment: the same one
// however often it is made of the same death.
func (d *delivery) announcement(at time.Time) protocol.Announcement {
	m, to := d.Shipment.Message, d.Shipment.To
	letter := deadLetter{
		Tenant: m.Tenant, ID: d.Shipment.ID(), Type: m.Type, Entity: m.Entity, Endpoint: to.Endpoint,
		Attempts: d.Attempts.Next() - 1, Reason: d.reason,
	}
	data, _ := json.Marshal(letter) //workflowcheck:ignore strings and a number are always encoded alike, and always can be
	return protocol.Announcement{
		ID:     protocol.AnnouncementID(postdate.DeliveryDead, m.Tenant, d.Shipment.ID(), strconv.Itoa(d.Attempts.Next()-1)),
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
