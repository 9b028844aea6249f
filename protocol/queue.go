package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

// QueueEntry is a delivery that waits in a line.
type QueueEntry struct {
	DeliveryID string `json:"delivery_id"`
	// Message is carried by the line, where the delivery has no execution of its own. Nil:
	// it has one, which the line releases.
	Message *postdate.Message `json:"message,omitempty"`
	// At is when it was accepted.
	At time.Time `json:"at"`
	Terms
	// Key names its entity and type: to an endpoint that coalesces, only the newest message
	// of a key is sent. Empty where it has no entity.
	Key string `json:"key,omitempty"`
}

// EnqueueRequest is a request to enqueue a delivery for an endpoint.
type EnqueueRequest struct {
	Tenant   string     `json:"tenant"`
	Endpoint string     `json:"endpoint"`
	Canary   string     `json:"canary,omitempty"` // as in [LineInput]
	Entry    QueueEntry `json:"waiter"`
	// Line is the line in which it has waited so far, if it is enqueued again: it stays
	// there as long as that line exists.
	Line string `json:"line,omitempty"`
}

// LineStatus is a line as its endpoint knows it.
type LineStatus struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	Canary   string `json:"canary,omitempty"` // as in [LineInput]
	ID       string `json:"id"`               // see [LineID]
	// Waiting is how many entries still wait, and Since when the first was accepted.
	Waiting int       `json:"waiting"`
	Since   time.Time `json:"since"`
	// ExpiresAt is when the first of them expires: zero where none does.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
	// Keys are the keys of the entries, by place, where the endpoint coalesces.
	Keys []string `json:"keys,omitempty"`
	// Of a line that is pulled from: Version is higher in what it reports later, Open are
	// the places of entries that can be leased, and Leased is how many are.
	Version int64  `json:"version,omitempty"`
	Open    Places `json:"open,omitempty"`
	Leased  int    `json:"leased,omitempty"`
}

// SendLineInput is the input of SendLine: the deliveries of a line that was woken.
type SendLineInput struct {
	Tenant   string `json:"tenant"`
	Endpoint string `json:"endpoint"`
	Canary   string `json:"canary,omitempty"` // as in [LineInput]
	// Entries are those of the line in their places, empty where one has ended or moved.
	Entries []QueueEntry `json:"waiters"`
	// Again: an earlier run was lost with its worker. This one must find out what it did.
	Again bool `json:"again,omitempty"`
	// Run counts the runs of SendLine in one run of the line.
	Run int `json:"run,omitempty"`
}

// LineStopped is reported by a SendLine that was asked to stop, while it waits for the
// attempts that are under way.
type LineStopped struct {
	Run int `json:"run"` // as in [SendLineInput]
	// Begun are the places of the entries at which something was begun. It is too late to
	// cancel them.
	Begun []int `json:"begun,omitempty"`
}

// LineProgress is how far a line is: the result of SendLine, and its heartbeats.
type LineProgress struct {
	// Made are the attempts, by the place of their entry. Those that failed are among them
	// until they have executions of their own.
	Made map[int]postdate.Attempt `json:"made,omitempty"`
	// Moved are the places of those that have executions of their own: they were released,
	// or handed over after their attempt had failed.
	Moved []int `json:"told,omitempty"`
	// Sending are the places of those whose attempts are under way.
	Sending []int `json:"sending,omitempty"`
	// NoCanary: the canary takes nothing any more, so that the line is to wait for the primary.
	NoCanary bool `json:"no_canary,omitempty"`
}

// CoalesceKey names the entity and type of a message: empty where it has no entity.
func CoalesceKey(m postdate.Message) string {
	if m.Entity == "" {
		return ""
	}
	return m.Entity + "\n" + m.Type
}

// SupersedeInput names deliveries that newer messages replace.
type SupersedeInput struct {
	Tenant string   `json:"tenant"`
	IDs    []string `json:"ids"`
}

// LineMaxWait is how long a line that was woken waits for a permit: long enough for a
// rate of one a minute.
const LineMaxWait = 90 * time.Second
