package protocol

import (
	"cmp"
	"time"

	"github.com/postdate/postdate"
)

// Terms are the options of a delivery that it keeps wherever it is carried: in a group, in
// a line, or in an execution of its own. A new option of deliveries is a field here, and
// nowhere else.
type Terms struct {
	// ExpiresAt is the moment from which no attempt is begun. Zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Import is the import that it came by. Empty: none.
	Import string `json:"import,omitempty"`
	// OwnRetry and OwnTimeout hold in place of those of its endpoint, which has not got them
	// yet: nil and 0 where the endpoint's do. A delivery with an execution has its plan there.
	OwnRetry   *postdate.Retry   `json:"own_retry,omitempty"`
	OwnTimeout postdate.Duration `json:"own_timeout,omitempty"`
}

// RetryInput is the input of Retry: a task, and the attempts that were made at it.
type RetryInput struct {
	Shipment DeliveryTask       `json:"shipment"`
	Plan     postdate.RetryPlan `json:"plan"`
	Attempts postdate.Attempts  `json:"attempts"`
}

// DeliveryTask is all that an attempt needs: a message and its destination.
type DeliveryTask struct {
	// DeliveryID is the delivery's id: for a schedule it is the message's. It is empty in
	// executions that were started before deliveries had ids of their own.
	DeliveryID string               `json:"delivery_id,omitempty"`
	Message    postdate.Message     `json:"message"`
	To         postdate.Destination `json:"to"`
	DueAt      time.Time            `json:"due_at"`
	// Timeout bounds each attempt. 0: the endpoint's timeout.
	Timeout postdate.Duration `json:"timeout"`
	// Test: it is sent even to an endpoint that is not enabled.
	Test bool `json:"test,omitempty"`
	// Dequeued: it has waited in a line, which has released it.
	Dequeued bool `json:"called,omitempty"`
	// Number is the number of the next attempt. 0: the first.
	Number int `json:"number,omitempty"`
	// Took is the side that the attempt before took: see [postdate.Endpoint.Side].
	Took string `json:"took,omitempty"`
	// ExpiresAt is the time from which no attempt begins, as in [Terms]. Zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Burst is when its first attempt is to begin, as one of a burst. Nil: that shows nothing.
	Burst *BurstStart `json:"burst,omitempty"`
}

// BurstStart is when an execution that is one of a burst is to start. How late its attempt
// begins shows whether the workers can begin as many.
type BurstStart struct {
	StartsAt time.Time `json:"starts_at"`
	// PerSecond is how many of the burst start per second, up to this one.
	PerSecond int `json:"per_second"`
}

// NewBurstStart returns nil where perSecond is 0, since the start shows nothing.
func NewBurstStart(startsAt time.Time, perSecond int) *BurstStart {
	if perSecond == 0 {
		return nil
	}
	return &BurstStart{StartsAt: startsAt, PerSecond: perSecond}
}

// ID is the delivery's id.
func (s DeliveryTask) ID() string { return cmp.Or(s.DeliveryID, s.Message.ID) }

// Expired reports whether an attempt that begins at t comes too late.
func (s DeliveryTask) Expired(t time.Time) bool {
	return !s.ExpiresAt.IsZero() && !t.Before(s.ExpiresAt)
}

// AttemptTimeout is the longest that an attempt at s may take.
func (s DeliveryTask) AttemptTimeout() time.Duration {
	return cmp.Or(s.Timeout.Duration(), postdate.MaxTimeout)
}

// DeliverInput is one message on its way to one destination.
type DeliverInput struct {
	Shipment DeliveryTask   `json:"shipment"`
	Retry    postdate.Retry `json:"retry"` // with its defaults
	Terms
	// Attempts were made by earlier runs: before a dead letter was retried, or before the
	// receiver or the caller rescheduled the message.
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// Handed: the last of them was made a moment ago, by a group or a line. It is the
	// first of this round, and the execution decides what follows from it.
	Handed bool `json:"handed,omitempty"`
	// Plan is the plan of a round that continues after the execution had to continue as
	// new. Without it a round begins.
	Plan *postdate.RetryPlan `json:"plan,omitempty"`
	// Line is the line in which it waits, where it was changed while it waited.
	Line string `json:"line,omitempty"`
	// Local is the local time for which it is due. Its instant is worked out again by the
	// law of the day on which it wakes.
	Local *postdate.LocalDue `json:"local,omitempty"`
	// ReportEnd: the recurrence waits to know when the delivery of its tick has ended.
	ReportEnd bool `json:"report_end,omitempty"`
	// Fired: it was fired before it was due, while a group carried it. Its first attempt is
	// made at once.
	Fired bool `json:"fired,omitempty"`
	// Signals: a Sweep or a line may signal it, since an earlier run was parked or waited.
	Signals bool `json:"signals,omitempty"`
}

// DeliverResult is the result of a delivery that was delivered or cancelled. One that died
// or expired has the same log in its failure.
type DeliverResult struct {
	Attempts postdate.Attempts `json:"attempts"`
	// Reason says why it was cancelled, where nobody requested that.
	Reason string `json:"reason,omitempty"`
}

// UpdateResult is the result of an Update: the delivery's state after it.
type UpdateResult struct {
	State postdate.State `json:"state"`
	DueAt time.Time      `json:"due_at"`
}

// Accepted describes the request that was accepted. It is kept in the memo, so that a
// repeated request is compared with the first one without reading the whole message.
type Accepted struct {
	// Digest is the same for requests that ask for the same.
	Digest string `json:"digest"`
	// To is the destination, for lists.
	To postdate.Destination `json:"to"`
	// At is when it was accepted: a rescheduled delivery is started again later.
	At time.Time `json:"at"`
	// DueAt is when the execution that was started then was due, and StartedAt when its
	// options were made, which its start delay is counted from: for lists, until it is
	// rescheduled.
	DueAt     time.Time `json:"due_at,omitzero"`
	StartedAt time.Time `json:"started_at,omitzero"`
}
