package protocol

import (
	"cmp"
	"time"

	"github.com/postdate/postdate"
)

// Terms are what was asked of a delivery, wherever it is carried: they go with it whole
// from a group to a line to an execution of its own. A new field of deliveries is one
// here, and nowhere else.
type Terms struct {
	// ExpiresAt is the moment from which no attempt is begun. Zero: never.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// RetryInput is the input of Retry: a shipment, and how the attempts at it went so far.
type RetryInput struct {
	Shipment DeliveryTask       `json:"shipment"`
	Plan     postdate.RetryPlan `json:"plan"`
	Attempts postdate.Attempts  `json:"attempts"`
}

// DeliveryTask is a message on its way: all that an attempt needs.
type DeliveryTask struct {
	// DeliveryID names the delivery: of a schedule it is the message's id. It is
	// empty in what was started before deliveries had ids of their own.
	DeliveryID string               `json:"delivery_id,omitempty"`
	Message    postdate.Message     `json:"message"`
	To         postdate.Destination `json:"to"`
	DueAt      time.Time            `json:"due_at"`
	// Timeout bounds each attempt. 0: as the endpoint has it.
	Timeout postdate.Duration `json:"timeout"`
	// Test has it sent to an endpoint that is not enabled, too.
	Test bool `json:"test,omitempty"`
	// Dequeued: it has waited in line for its turn, which has come.
	Dequeued bool `json:"called,omitempty"`
	// Number is which attempt the next one is. 0: the first.
	Number int `json:"number,omitempty"`
}

// ID is the delivery's id.
func (s DeliveryTask) ID() string { return cmp.Or(s.DeliveryID, s.Message.ID) }

// AttemptTimeout is the longest that an attempt at s may take.
func (s DeliveryTask) AttemptTimeout() time.Duration {
	return cmp.Or(s.Timeout.Duration(), postdate.MaxTimeout)
}

// DeliverInput is one message on its way to one destination.
type DeliverInput struct {
	Shipment DeliveryTask   `json:"shipment"`
	Retry    postdate.Retry `json:"retry"` // with its defaults
	Terms
	// Attempts were made by earlier runs: before a dead letter was retried, or
	// before the receiver or the caller put the message off.
	Attempts postdate.Attempts `json:"attempts,omitempty"`
	// Handed tells that the last of them was made just now, by a Dispatch: it is
	// the first of this round, and what follows from it is to be decided.
	Handed bool `json:"handed,omitempty"`
	// Plan is that of a round which goes on after the execution had to start
	// anew. Without it a round begins.
	Plan *postdate.RetryPlan `json:"plan,omitempty"`
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

// UpdateResult is the answer to an Update: where the delivery stands after it.
type UpdateResult struct {
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
