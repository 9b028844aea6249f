package protocol

import (
	"math/bits"
	"time"

	"github.com/postdate/postdate"
)

// UpdatePull reserves messages of an endpoint that is pulled from. Endpoint takes it: a
// [PullRequest], and returns a [PullGrant].
const UpdatePull = "pull"

// QueryPullable reads how many messages of an endpoint could be reserved now: a [Pullable].
const QueryPullable = "pullable"

// The Updates of a line whose endpoint is pulled from, and its Query.
const (
	UpdateTake   = "take"   // takes a [TakeRequest], returns a [TakeResult]
	UpdateSettle = "settle" // takes a [SettleRequest], returns a [SettleResponse]
	QueryLine    = "line"   // returns a [LineRead]
)

// UpdateLend leases a Deliver that waits in such a line: it takes a [LendRequest] and returns
// a [Lent]. UpdateSettle then settles the lease, as that of a line.
const UpdateLend = "lend"

// SignalReturned signals to a Deliver that its line no longer has it. It carries a
// [Returned].
const SignalReturned = "returned"

// ReturnAction gives back a message that no consumer got: that was no attempt.
const ReturnAction postdate.SettleAction = "return"

// PullRequest is what consumers of one process want of an endpoint, and what the process
// knows of its lines.
type PullRequest struct {
	Settings EndpointSettings `json:"settings,omitzero"`
	// Wants are how many messages are wanted at most, for each consumer.
	Wants []PullWant `json:"wants,omitempty"`
	// Reports are the newest of lines that were taken from, or settled. Closed are the
	// reservations that were used, and Gone the lines that do not exist any more.
	Reports []LineStatus `json:"reports,omitempty"`
	Closed  []int64      `json:"closed,omitempty"`
	Gone    []string     `json:"gone,omitempty"`
}

// PullWant is what one consumer wants.
type PullWant struct {
	N int `json:"n"`
}

// PullGrant is what was reserved, for each want.
type PullGrant struct {
	Reserved [][]Reservation `json:"reserved,omitempty"`
}

// PullPlan is what an Endpoint reserves next. It is recorded, as an [EndpointDecision] is.
// Tokens is what remains in its pool.
type PullPlan struct {
	Grant  PullGrant `json:"grant"`
	Tokens float64   `json:"tokens,omitempty"`
}

// Reservation is leave to take messages from a line.
type Reservation struct {
	ID   int64  `json:"id"`
	Line string `json:"line"`
	N    int    `json:"n"`
	// Until is when the line is asked at the latest: afterwards others may have them.
	Until time.Time `json:"until"`
	// Superseded are the places of messages that newer ones replace.
	Superseded []int `json:"superseded,omitempty"`
}

// OpenReservation is a reservation as its endpoint keeps it, until the line has reported.
type OpenReservation struct {
	ID    int64     `json:"i"`
	Line  string    `json:"l"`
	N     int       `json:"n"`
	Until time.Time `json:"u"`
}

// Pullable is how many messages could be reserved now. RetryAt is when more can be, where
// the rate alone is in the way.
type Pullable struct {
	N       int       `json:"n"`
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// TakeRequest takes messages from a line, for several consumers.
type TakeRequest struct {
	Takes []Take `json:"takes"`
	// Superseded are the places of messages that newer ones replace.
	Superseded []int `json:"superseded,omitempty"`
}

// Take leases messages to one consumer.
type Take struct {
	// Lease is the id of the lease, which is random.
	Lease string            `json:"lease"`
	N     int               `json:"n"`
	For   postdate.Duration `json:"for"`
	// Until is that of the reservation: nothing is taken later.
	Until time.Time `json:"until"`
}

// TakeResult is what was leased, for each take.
type TakeResult struct {
	Taken  [][]TakenEntry `json:"taken"`
	Status LineStatus     `json:"status"`
}

// TakenEntry is a message that was leased.
type TakenEntry struct {
	Place      int    `json:"place"`
	DeliveryID string `json:"delivery_id"`
	// Message is nil where the delivery has an execution of its own, which lends it.
	Message   *postdate.Message `json:"message,omitempty"`
	Until     time.Time         `json:"until"`
	ExpiresAt time.Time         `json:"expires_at,omitzero"`
}

// NackedError begins the error of an attempt that a consumer's nack ended: what was nacked is
// told by it from what ran out of its lease.
const NackedError = "a consumer did not accept it"

// SettleRequest settles leases of a line, or of a Deliver.
type SettleRequest struct {
	Settlements []Settlement `json:"settlements"`
}

// Settlement is what is said of one lease.
type Settlement struct {
	// Place is that of the entry in the line.
	Place  int                   `json:"place"`
	Lease  string                `json:"lease"`
	Action postdate.SettleAction `json:"action"`
	// RetryAfter is how long it is not to come again at least, after a nack, and Reason
	// what the consumer says of it.
	RetryAfter postdate.Duration `json:"retry_after,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	// For is how long an extended lease lasts, from now on.
	For postdate.Duration `json:"for,omitempty"`
	// Own: the delivery has an execution of its own, which has decided.
	Own bool `json:"own,omitempty"`
}

// SettleResponse is what became of each lease.
type SettleResponse struct {
	Settled []Settled `json:"settled"`
	// Status is that of the line: empty of a Deliver.
	Status LineStatus `json:"status,omitzero"`
}

// Settled is what became of one lease.
type Settled struct {
	Result postdate.SettleResult `json:"result"`
	// Until is until when it lasts now, where it was extended.
	Until time.Time `json:"until,omitzero"`
	// First: this request has settled it. Type, Entity, At and DurationMS are what the log
	// says of the attempt, then.
	First      bool      `json:"first,omitempty"`
	Type       string    `json:"type,omitempty"`
	Entity     string    `json:"entity,omitempty"`
	At         time.Time `json:"at,omitzero"`
	DurationMS int64     `json:"duration_ms,omitempty"`
}

// LendRequest leases a delivery that has an execution of its own.
type LendRequest struct {
	Line  string            `json:"line"` // in which it waited
	Lease string            `json:"lease"`
	For   postdate.Duration `json:"for"`
}

// Lent is the result of a [LendRequest]. Message is nil where the delivery does not wait in
// that line any more.
type Lent struct {
	Message *postdate.Message `json:"message,omitempty"`
	// Number is that of the attempt.
	Number    int       `json:"number,omitempty"`
	Until     time.Time `json:"until,omitzero"`
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// Returned says that a line no longer has a delivery.
type Returned struct {
	Line string `json:"line"`
	// Deleted: the endpoint was deleted, so that a lease is over too.
	Deleted bool `json:"deleted,omitempty"`
}

// LineLease is the lease of an entry of a line.
type LineLease struct {
	ID    string    `json:"id"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
	// Ended is what ended it: empty while it lasts.
	Ended postdate.SettleResult `json:"ended,omitempty"`
}

// LineRead is a line as it is now.
type LineRead struct {
	Result LineResult        `json:"result"`
	Moved  []int             `json:"moved,omitempty"`
	Leases map[int]LineLease `json:"leases,omitempty"`
}

// Places is a set of places of a line, a bit each.
type Places []byte

// Add is p with a place.
func (p Places) Add(place int) Places {
	if len(p) == 0 {
		p = make(Places, (MaxLine+7)/8)
	}
	p[place/8] |= 1 << (place % 8)
	return p
}

// Has reports whether place is in p.
func (p Places) Has(place int) bool {
	return place/8 < len(p) && p[place/8]&(1<<(place%8)) != 0
}

// Count is how many of p are not in other.
func (p Places) Count(other Places) (n int) {
	for i, eight := range p {
		if i < len(other) {
			eight &^= other[i]
		}
		n += bits.OnesCount8(eight)
	}
	return n
}

// Without is p without its first n places that are not in other.
func (p Places) Without(other Places, n int) Places {
	left := append(Places{}, p...)
	for place := 0; place < 8*len(p) && n > 0; place++ {
		if p.Has(place) && !other.Has(place) {
			left[place/8] &^= 1 << (place % 8)
			n--
		}
	}
	return left
}
