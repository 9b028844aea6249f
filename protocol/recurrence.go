package protocol

import (
	"slices"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// RecurrenceWorkflow is the name of the workflow that is a recurring schedule.
const RecurrenceWorkflow = "Recurrence"

// The Updates that Recurrence takes, beside [UpdateCancel] and [UpdateFire], which
// returns a postdate.TickRecord.
const (
	UpdatePause     = "pause"      // takes a postdate.Pause
	UpdateResume    = "resume"     //
	UpdateSkip      = "skip"       //
	UpdatePatch     = "patch"      // takes a [PatchRecurrence]
	UpdateBackfill  = "backfill"   // takes a [Backfill], returns a [Backfilled]
	UpdateTickEnded = "tick_ended" // takes a [TickEnded]
)

// The activities of Recurrence, and TickEndedActivity of the deliveries that it starts.
const (
	AdvanceActivity   = "AdvanceRecurrence"
	FireActivity      = "FireRecurrence"
	BackfillActivity  = "BackfillRecurrence"
	WithdrawActivity  = "WithdrawTick"
	TickEndedActivity = "TickEnded"
)

// RecurrenceID is the workflow id of a tenant's recurring schedule.
func RecurrenceID(tenant, id string) string { return "recurrence/" + tenant + "/" + id }

// RecurrenceInput is a recurring schedule between two ticks.
type RecurrenceInput struct {
	ID string `json:"id"`
	// Accepted describes the request that created it.
	Accepted Accepted `json:"accepted"`
	// Task is what each tick's delivery is started with, but for its id and its times.
	Task       DeliverInput        `json:"task"`
	Recurrence postdate.Recurrence `json:"recurrence"`
	RecurrenceProgress
	// WakeAt is when this run has to do something. The start delay ends then; an Update
	// wakes it before.
	WakeAt time.Time `json:"wake_at"`
}

// Tenant is whose it is.
func (in RecurrenceInput) Tenant() string { return in.Task.Shipment.Message.Tenant }

// RecurrenceProgress is how far a recurrence has come.
type RecurrenceProgress struct {
	// Passed is the last tick that has passed, with or without a delivery.
	Passed PassedTick `json:"passed"`
	// Ahead is the tick whose delivery was started before it was due.
	Ahead *AheadTick `json:"ahead,omitempty"`
	// Recent are the last ticks, the latest last.
	Recent []postdate.TickRecord `json:"recent,omitempty"`
	// Missed is the latest tick that was missed, while not all of them are counted.
	Missed *postdate.Tick `json:"missed,omitempty"`
	// Buffered waits for the delivery of an earlier tick to end.
	Buffered *postdate.Tick `json:"buffered,omitempty"`
	// Ended are the deliveries that reported their ends last. A delivery reports before its
	// execution closes, so that Temporal may still show it as running.
	Ended []string `json:"ended,omitempty"`
	// Fired counts the deliveries that were fired for.
	Fired int `json:"fired,omitempty"`
	// Skip is how many of the next ticks are to be left out.
	Skip  int             `json:"skip,omitempty"`
	Pause *postdate.Pause `json:"pause,omitempty"`
	// ResumedAt is until when ticks pass without a delivery, after a pause.
	ResumedAt time.Time `json:"resumed_at,omitzero"`
}

// AheadTick is a tick whose delivery was started before it was due, and sleeps until then.
type AheadTick struct {
	Tick       postdate.Tick `json:"tick"`
	DeliveryID string        `json:"delivery"`
	// Before is the tick before it.
	Before PassedTick `json:"before"`
	// Withdrawn: its delivery was cancelled, as if it had not been started.
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// IsAhead reports whether a tick that is not due at now has its delivery already.
func (p *RecurrenceProgress) IsAhead(now time.Time) bool {
	return p.Ahead != nil && !p.Ahead.Withdrawn && p.Ahead.Tick.DueAt.After(now)
}

// Withdraw has the tick whose delivery was started ahead not have passed.
func (p *RecurrenceProgress) Withdraw() {
	ahead := *p.Ahead
	ahead.Withdrawn = true
	p.Ahead, p.Passed = &ahead, ahead.Before
	p.Forget(ahead.Tick.Number)
}

// Forget removes a tick from the recent ones.
func (p *RecurrenceProgress) Forget(number int) {
	kept := make([]postdate.TickRecord, 0, len(p.Recent))
	for _, record := range p.Recent {
		if record.Number != number {
			kept = append(kept, record)
		}
	}
	p.Recent = kept
}

// PassedTick is what the next tick is worked out from.
type PassedTick struct {
	Number int       `json:"number"`
	DueAt  time.Time `json:"due_at,omitzero"`
	// Local is nil where the recurrence was changed since: what clocks showed then says
	// nothing of what is due by the new rule.
	Local *postdate.LocalTime `json:"local,omitempty"`
}

// Tick is p as the calendar knows it.
func (p PassedTick) Tick() postdate.Tick {
	tick := postdate.Tick{Number: p.Number, Moment: postdate.Moment{DueAt: p.DueAt}}
	if p.Local != nil {
		tick.Local = *p.Local
	}
	return tick
}

// Pass is the inverse of [PassedTick.Tick].
func Pass(t postdate.Tick) PassedTick {
	return PassedTick{Number: t.Number, DueAt: t.DueAt, Local: &t.Local}
}

// Advanced is the result of AdvanceRecurrence: how far the recurrence has come, and what
// follows.
type Advanced struct {
	RecurrenceProgress
	// WakeAt is when to advance again.
	WakeAt time.Time `json:"wake_at,omitzero"`
	// Ended says that no tick follows.
	Ended bool `json:"ended,omitempty"`
}

// RecurrenceResult is the result of a recurrence that ended or was cancelled.
type RecurrenceResult struct {
	Recurrence RecurrenceInput `json:"recurrence"`
	// Reason says why it ended, where that was not its rule.
	Reason string `json:"reason,omitempty"`
}

// PatchRecurrence changes a recurring schedule. What is nil stays.
type PatchRecurrence struct {
	Recurrence *postdate.Recurrence  `json:"recurrence,omitempty"`
	Data       []byte                `json:"payload,omitempty"`
	Type       *string               `json:"type,omitempty"`
	Entity     *string               `json:"entity,omitempty"`
	To         *postdate.Destination `json:"to,omitempty"`
	Retry      *postdate.Retry       `json:"retry,omitempty"` // with its defaults
	Timeout    *postdate.Duration    `json:"timeout,omitempty"`
}

// Backfill asks for deliveries of the ticks from From to To, both included.
type Backfill struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Backfilled is the result of a [Backfill].
type Backfilled struct {
	// Started are the ids of the deliveries that were started, and Found is how many
	// others had been.
	Started []string `json:"started"`
	Found   int      `json:"found"`
}

// FireInput asks for an extra delivery.
type FireInput struct {
	Recurrence RecurrenceInput `json:"recurrence"`
	Number     int             `json:"number"`
}

// BackfillInput is the input of BackfillRecurrence.
type BackfillInput struct {
	Recurrence RecurrenceInput `json:"recurrence"`
	Range      Backfill        `json:"range"`
}

// WithdrawTick asks to cancel the delivery of a tick that is not due yet.
type WithdrawTick struct {
	Tenant     string `json:"tenant"`
	DeliveryID string `json:"delivery"`
}

// TickEnded reports that the delivery of a tick has ended.
type TickEnded struct {
	Tenant     string `json:"tenant"`
	Schedule   string `json:"schedule"`
	DeliveryID string `json:"delivery"`
	// Stop: its receiver asked that no further tick be sent.
	Stop bool `json:"stop,omitempty"`
}

// RecurrenceOptions are the options to start a Recurrence at now: once for its id, asleep
// until it has something to do.
func RecurrenceOptions(in RecurrenceInput, now time.Time) client.StartWorkflowOptions {
	deliver := DeliverOptions(in.Task, in.Accepted, now)
	options := onceOptions(RecurrenceID(in.Tenant(), in.ID), TaskQueue, in.Tenant())
	options.StartDelay = max(0, in.WakeAt.Sub(now))
	options.TypedSearchAttributes = temporal.NewSearchAttributes(deliver.TypedSearchAttributes.Copy())
	options.Memo = deliver.Memo
	options.StaticSummary = deliver.StaticSummary
	return options
}

// RememberEnd adds the id of a delivery to those that reported their ends.
func (p *RecurrenceProgress) RememberEnd(deliveryID string) {
	ended := slices.Clone(p.Ended[max(0, len(p.Ended)+1-postdate.ShownTicks):])
	ended = append(ended, deliveryID)
	p.Ended = ended
}

// Remember adds a tick to the recent ones. Of many the oldest are forgotten.
func (p *RecurrenceProgress) Remember(record postdate.TickRecord) {
	kept := make([]postdate.TickRecord, 0, postdate.ShownTicks)
	kept = append(kept, p.Recent[max(0, len(p.Recent)+1-postdate.ShownTicks):]...)
	kept = append(kept, record)
	p.Recent = kept
}

// Apply changes what is sent, and how.
func (p PatchRecurrence) Apply(to *DeliverInput) {
	message := &to.Shipment.Message
	if p.Data != nil {
		message.Data = p.Data
	}
	if p.Type != nil {
		message.Type = *p.Type
	}
	if p.Entity != nil {
		message.Entity = *p.Entity
	}
	if p.To != nil {
		to.Shipment.To = *p.To
	}
	if p.Retry != nil {
		to.Retry = *p.Retry
	}
	if p.Timeout != nil {
		to.Shipment.Timeout = *p.Timeout
	}
}

// Attributes are the search attributes of what in sends, to be set after a change.
func (in DeliverInput) Attributes() []temporal.SearchAttributeUpdate {
	entity, endpoint := AttrEntity.ValueUnset(), AttrEndpoint.ValueUnset()
	if e := in.Shipment.Message.Entity; e != "" {
		entity = AttrEntity.ValueSet([]string{e})
	}
	if e := in.Shipment.To.Endpoint; e != "" {
		endpoint = AttrEndpoint.ValueSet([]string{e})
	}
	return []temporal.SearchAttributeUpdate{AttrMessageType.ValueSet([]string{in.Shipment.Message.Type}), entity, endpoint}
}
