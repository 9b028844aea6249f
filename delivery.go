package postdate

import "time"

// State is where a delivery stands.
type State string

// The states of a delivery. The last four are its ends.
const (
	Scheduled State = "scheduled" // sleeps until it is due
	Waiting   State = "waiting"   // due: waits for its turn at an endpoint that has its own pace
	Sending   State = "sending"   // due: an attempt is being made, or about to be
	Retrying  State = "retrying"  // an attempt failed; another follows
	Parked    State = "parked"    // held for an endpoint that is paused or disabled
	Delivered State = "delivered" // the receiver answered 2xx
	Dead      State = "dead"      // given up; can be retried
	Cancelled State = "cancelled" // somebody cancelled it in time
	Expired   State = "expired"   // its expires_at came first
)

// States lists every state, in the order of a delivery's life.
var States = []State{Scheduled, Waiting, Sending, Retrying, Parked, Delivered, Dead, Cancelled, Expired}

// Final reports whether nothing more will happen to a delivery in state s.
func (s State) Final() bool {
	return s == Delivered || s == Dead || s == Cancelled || s == Expired
}

// Delivery is one message on its way to one destination, as it was at the moment at
// which it was read.
type Delivery struct {
	ID      string
	Message Message
	To      Destination
	State   State
	// Reason says why it is not sent yet, or how it ended.
	Reason string
	DueAt  time.Time
	// NextAttemptAt is when the next attempt is made. Zero: none is waited for, or
	// nobody knows.
	NextAttemptAt time.Time
	// Queue is where it stands, if it waits for a permit and that is known.
	Queue     *QueuePosition
	CreatedAt time.Time
	EndedAt   time.Time // zero where it has not
	ExpiresAt time.Time // zero: never
	Import    string    // that it came by: empty of most
	// Timeout bounds each attempt.
	Timeout Duration
	Retry   Retry // with its defaults
	// Local is the local time for which it is due, where it was scheduled by one.
	Local    *LocalDue
	Attempts Attempts
	// Canary is the id of its endpoint's canary, where its last attempt went there or it
	// waits there.
	Canary string
	// RequestDigest is the same for requests that ask for the same.
	RequestDigest string
	Execution     Execution
}

// DeliverySummary is a delivery as lists show it.
type DeliverySummary struct {
	ID        string
	State     State
	Entity    string
	Type      string
	To        Destination
	DueAt     time.Time
	CreatedAt time.Time
	EndedAt   time.Time // zero where it has not
	Execution Execution
}

// Execution names the Temporal execution that carries a delivery.
type Execution struct{ WorkflowID, RunID string }

// QueuePosition is where a delivery that waits for a permit stands.
type QueuePosition struct {
	// Ahead is about how many come before it.
	Ahead int `json:"ahead"`
	// EstimatedAt is about when it is sent, at the pace of now: zero where nobody knows.
	EstimatedAt time.Time `json:"estimated_at,omitzero"`
}

// DeliveryRef names a delivery of an event.
type DeliveryRef struct{ ID, Endpoint string }
