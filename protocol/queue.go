package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// Entry is a delivery that waits in line.
type QueueEntry struct {
	DeliveryID string `json:"delivery_id"`
	// Message travels in the line, where the delivery has no execution of its own.
	// Nil: it has one, which is told when its turn has come.
	Message *postdate.Message `json:"message,omitempty"`
	// At is when it was accepted.
	At time.Time `json:"at"`
	Terms
	// Key names its entity and type: of an endpoint that coalesces only the newest
	// of a key is sent. Empty where it has no entity.
	Key string `json:"key,omitempty"`
}

// EnqueueRequest is a waiter and the endpoint that it waits for.
type EnqueueRequest struct {
	Tenant   string     `json:"tenant"`
	Endpoint string     `json:"endpoint"`
	Entry    QueueEntry `json:"waiter"`
	// Line is the one it has waited in so far, if it asks again: where that is
	// still there, it stays in it.
	Line string `json:"line,omitempty"`
}

// LineStatus is a line as its endpoint knows it.
type LineStatus struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	ID       string `json:"id"` // see workflows.LineID
	// FailureWaiting is how many are left in it, and Since when the first of them was accepted.
	Waiting int       `json:"waiting"`
	Since   time.Time `json:"since"`
	// ExpiresAt is the earliest of theirs: zero where none expires.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Keys are the waiters', by place, where the endpoint coalesces.
	Keys []string `json:"keys,omitempty"`
}

// SendLineInput are the deliveries of a line whose turns have come.
type SendLineInput struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	// Entries are all those of the line; of those that are over, the place alone.
	Entries []QueueEntry `json:"waiters"`
	// Again: a call before this one was lost with its worker. What it did is to be
	// found out.
	Again bool `json:"again,omitempty"`
}

// LineProgress is how far a line is: the result of SendLine, and its heartbeats.
type LineProgress struct {
	// Made are the attempts, by the place of their waiter. What failed is among
	// them until it has an execution of its own.
	Made map[int]postdate.Attempt `json:"made,omitempty"`
	// Moved are the places of those that have executions of their own: they were
	// told that their turn has come, or handed over when their attempt had failed.
	Moved []int `json:"told,omitempty"`
	// Sending are the places of those whose attempts are under way.
	Sending []int `json:"sending,omitempty"`
}

// CoalesceKey names the entity and type of a message: it is empty where that is
// about no entity.
func CoalesceKey(m postdate.Message) string {
	if m.Entity == "" {
		return ""
	}
	return m.Entity + "\n" + m.Type
}

// SupersedeInput names deliveries that newer messages have taken the place of.
type SupersedeInput struct {
	Tenant string   `json:"tenant"`
	IDs    []string `json:"ids"`
}

// LineMaxWait is how long a line that was woken waits for a permit: at one a minute it
// comes.
const LineMaxWait = 90 * time.Second
