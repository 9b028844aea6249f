package workflows

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// activityGrace is the time that an activity gets beyond the attempt's own timeout, so
// that the attempt itself always reports its end.
const activityGrace = 10 * time.Second

// A parked delivery checks its endpoint again once after firstRecheck, and from then on
// every laterRecheck.
const (
	firstRecheck = 5 * time.Second
	laterRecheck = time.Hour
)

// request is a change of course that was requested of a delivery. A greater one
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
	pendingChange postdate.Change // what a rescheduleRequest changes
	byTemporal    bool            // Temporal itself has requested to cancel
	restart       bool            // the run ends by continuing as new
	shownState    postdate.State  // the value of the search attribute State

	woken      bool   // a Sweep or a line has released it
	superseded bool   // a newer message took its place in line
	line       string // in which it waits, or has waited last
	canary     string // whose queue that is to be: empty for the endpoint's own
	dequeued   bool   // that line has released it, which it does once
	rechecked  bool   // parked, it has checked its endpoint again already
	released   bool   // a signal or an Update, not a timer, ended the wait: the attempt shows in lists

	// lease is what a consumer has, where the endpoint is pulled from; settledAttempt is the
	// attempt that it came to. returned: its line no longer has it.
	lease          *protocol.LineLease
	settledAttempt *postdate.Attempt
	returned       bool
	acknowledged   string // the lease that a consumer has acknowledged
	enqueuing      bool   // it is not known yet in which line it waits

	// burst is when the first attempt is to begin, as one of a burst: nil where that shows
	// nothing, or something else has woken the delivery.
	burst *protocol.BurstStart

	exposed bool // the next attempt is a regular activity: see [delivery.send]
	slow    bool // an attempt in a local activity took long, and is not recorded yet
}

func newDelivery(in protocol.DeliverInput) *delivery {
	d := &delivery{
		DeliverInput: in,
		plan:         postdate.RetryPlan{Retry: in.Retry, ExpiresAt: in.ExpiresAt, Before: in.Attempts.Next() - 1},
		state:        postdate.Scheduled,
		line:         in.Line,
		exposed:      in.Signals || in.Line != "",
		burst:        in.Shipment.Burst,
	}
	d.Shipment.Burst = nil // it is about this run alone
	d.Signals = in.Line != ""
	if in.Handed {
		d.plan.Before--
	}
	if in.Plan != nil {
		d.plan = *in.Plan
	}
	return d
}

func (d *delivery) isPending() bool { return d.pending != noRequest }

// done reports whether it is decided how this run ends.
func (d *delivery) done() bool { return d.state.Final() || d.restart }

// finish decides how the delivery ended.
func (d *delivery) finish(state postdate.State, reason string) {
	if d.Shipment.Test && state == postdate.Waiting {
		state = postdate.Cancelled // a test is about now: it waits in no line
	}
	d.state, d.reason = state, reason
}

// continueAsNew decides that the run ends by continuing as new.
func (d *delivery) continueAsNew() {
	d.state, d.restart, d.Handed, d.Fired = postdate.Scheduled, true, false, false
}

// untilExpiry is wait, or the time until d expires where that is shorter.
func (d *delivery) untilExpiry(ctx workflow.Context, wait time.Duration) time.Duration {
	if d.ExpiresAt.IsZero() {
		return wait
	}
	return min(wait, max(0, d.ExpiresAt.Sub(workflow.Now(ctx))))
}

// endWait decides how d goes on after a wait that changed nothing else: it has expired meanwhile,
// or continues as new, since it may wait for weeks and a history must not grow for ever.
func (d *delivery) endWait(ctx workflow.Context, waited string) {
	switch {
	case d.plan.Expired(workflow.Now(ctx)):
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", while "+waited)
	case workflow.GetInfo(ctx).GetContinueAsNewSuggested():
		d.Plan = &d.plan
		d.continueAsNew()
	}
}

// rescheduleTo decides that the execution continues as new, asleep until due. An event
// keeps the time at which it happened.
func (d *delivery) rescheduleTo(due time.Time) {
	d.continueAsNew()
	d.Plan, d.Local = nil, nil
	d.Shipment.DueAt = due
	if d.Shipment.ID() == d.Shipment.Message.ID {
		d.Shipment.Message.Timestamp = due
	}
}

// applyPending applies the pending request, if there is one.
func (d *delivery) applyPending() {
	switch d.pending {
	case cancelRequest:
		d.finish(postdate.Cancelled, "")
		d.restart = false
	case rescheduleRequest:
		due := d.Shipment.DueAt
		if d.pendingChange.DueAt != nil {
			due = *d.pendingChange.DueAt
		}
		if d.pendingChange.Data != nil {
			d.Shipment.Message.Data = d.pendingChange.Data
		}
		local := d.Local
		d.rescheduleTo(due)
		if d.pendingChange.DueAt == nil {
			d.Local = local
		}
	case fireRequest, noRequest:
	}
	d.pending = noRequest
}

// showState sets the search attribute State, which says what Temporal's own status does
// not; an empty state unsets it.
func (d *delivery) showState(ctx workflow.Context, state postdate.State) {
	if d.shownState == state {
		return
	}
	d.shownState = state
	setState(ctx, state)
}

// leaveBurst unsets the search attribute by which the delivery counts to the burst of the
// second in which it was due: the next run carries over what is set.
func leaveBurst(ctx workflow.Context) {
	attributes := workflow.GetTypedSearchAttributes(ctx)
	if _, isDelayed := attributes.GetKeyword(protocol.AttrBurst); !isDelayed ||
		workflow.GetVersion(ctx, "leave-burst", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, protocol.AttrBurst.ValueUnset()) // fails on no attributes at all, only
}

// showSize sets the search attribute by which what the tenant keeps is counted, where the data
// were changed: the next run carries over what is set.
func (d *delivery) showSize(ctx workflow.Context) {
	shown, _ := workflow.GetTypedSearchAttributes(ctx).GetKeyword(protocol.AttrSize)
	size := protocol.SizeOf(len(d.Shipment.Message.Data))
	if size == shown || workflow.GetVersion(ctx, "show-size", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	update := protocol.AttrSize.ValueSet(size)
	if size == "" {
		update = protocol.AttrSize.ValueUnset()
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, update) // fails on no attributes at all, only
}

// setState sets the search attribute State of an execution; an empty one unsets it.
func setState(ctx workflow.Context, state postdate.State) {
	update := protocol.AttrState.ValueSet(string(state))
	if state == "" {
		update = protocol.AttrState.ValueUnset()
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, update) // fails only without any attribute
}

// enqueueRequest is the request that enqueues d.
func (d *delivery) enqueueRequest() protocol.EnqueueRequest {
	m, line := d.Shipment.Message, d.line
	if d.dequeued {
		line = ""
	}
	return protocol.EnqueueRequest{
		Tenant: m.Tenant, Endpoint: d.Shipment.To.Endpoint, Canary: d.canary, Line: line,
		Entry: protocol.QueueEntry{
			DeliveryID: d.Shipment.ID(), At: d.Shipment.DueAt, Terms: d.Terms, Key: protocol.CoalesceKey(m),
		},
	}
}

// announcement is what is published of a delivery that died at that moment. It has the
// same id however often the same death is announced.
func (d *delivery) announcement(at time.Time) protocol.Announcement {
	m, to, reason := d.Shipment.Message, d.Shipment.To, d.reason
	if len(d.Attempts) > 0 {
		last := d.Attempts.Last()
		if said := last.Summary(); strings.HasSuffix(reason, said) {
			last.Response = "" // the operator reads it, and receivers' text is not for the operator
			reason = strings.TrimSuffix(reason, said) + last.Summary()
		}
	}
	letter := deadLetter{
		Tenant: m.Tenant, ID: d.Shipment.ID(), Type: m.Type, Entity: m.Entity, Endpoint: to.Endpoint,
		Attempts: d.Attempts.Next() - 1, Reason: reason,
	}
	data, _ := json.Marshal(letter) //workflowcheck:ignore strings and a number are always encoded alike, and always can be
	return protocol.Announcement{
		ID:     protocol.AnnouncementID(postdate.DeliveryDead, m.Tenant, d.Shipment.ID(), strconv.Itoa(d.Attempts.Next()-1)),
		Tenant: m.Tenant, Type: postdate.DeliveryDead, At: at, Data: data,
	}
}

// deadLetter is the data of an announcement of a delivery that died.
type deadLetter struct {
	Tenant   string `json:"tenant"`
	ID       string `json:"id"`
	Type     string `json:"type"`
	Entity   string `json:"entity,omitempty"`
	Endpoint string `json:"endpoint,omitempty"`
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason"`
}
