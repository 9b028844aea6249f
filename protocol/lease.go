package protocol

import (
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// LeaseRequest is a worker's request for a share of what an endpoint may be sent. It also
// reports what the worker has seen since the last one.
type LeaseRequest struct {
	// Worker names the process: a new name after each start.
	Worker   string           `json:"worker"`
	Settings EndpointSettings `json:"settings"`
	// InFlight is how many attempts are under way there, and Waiting how many wait in place
	// for a permit. If both are 0 the worker returns its share.
	InFlight int               `json:"in_flight"`
	Waiting  int               `json:"asking"`
	Feedback throttle.Feedback `json:"seen,omitzero"`
	// Has is the share that it holds, and uses until it gets the next one: nothing where
	// its lease has ended. It may be more than the next one.
	Has postdate.Pace `json:"held,omitzero"`
	// Tokens is how many tokens it has saved up, which it returns with its share.
	Tokens float64 `json:"saved,omitempty"`
	// ReportOnly: it requests no lease, since the endpoint is sent to without one. It only
	// reports what it has seen.
	ReportOnly bool `json:"calm,omitempty"`
}

// Lease is a worker's share of what an endpoint may be sent.
type Lease struct {
	// TTL is how long it holds, from the time of the request.
	TTL postdate.Duration `json:"for"`
	// Pace is the share: its Burst bounds what the worker saves up itself. InFlight 0:
	// nothing may begin. It may be less than what is in flight there: then nothing
	// begins until that is less.
	Pace postdate.Pace `json:"pace"`
	// Tokens is how many attempts may begin at once, beyond what the worker has
	// saved up itself: with those it has at most the share's Burst.
	Tokens float64 `json:"tokens,omitempty"`
	// Waiting is how many deliveries wait in lines: one that was not dequeued goes to the
	// end of the queue.
	Waiting int `json:"waiting,omitempty"`
	// Required: the endpoint is sent to by lease only until further notice, even without a
	// pace of its own.
	Required bool `json:"engaged,omitempty"`
	// BlockedUntil is when the breaker, or the end of a Retry-After, lets the next attempt
	// through. Zero: nothing blocks it.
	BlockedUntil time.Time `json:"closed_until,omitzero"`
	Reason       string    `json:"reason,omitempty"`
}

// Wake wakes a line: there are permits for its deliveries.
type Wake struct {
	// Superseded are the places of the entries that newer messages replace.
	Superseded []int `json:"superseded,omitempty"`
}

const (
	// LeaseTime is how long a lease holds: after it, the share of a worker that died is
	// free again.
	LeaseTime = 10 * time.Second
	// LeaseRenewal is how often a worker renews one that it needs.
	LeaseRenewal = 3 * time.Second
)
