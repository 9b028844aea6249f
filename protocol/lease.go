package protocol

import (
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// LeaseRequest is a worker's request for a share of what an endpoint may be sent, and
// tells what it has seen since the last one.
type LeaseRequest struct {
	// Worker names the process: a new name after each start.
	Worker   string           `json:"worker"`
	Settings EndpointSettings `json:"settings"`
	// InFlight is how many attempts are under way there, and Asking how many wait
	// in place for a turn. Neither: the worker gives its share back.
	InFlight int               `json:"in_flight"`
	Waiting  int               `json:"asking"`
	Feedback throttle.Feedback `json:"seen,omitzero"`
	// Has is the share that it holds, and keeps to until it is answered: nothing
	// where its lease has ended. It may be more than what it is given now.
	Has postdate.Pace `json:"held,omitzero"`
	// Tokens is how many tokens it has saved up, which it gives back with its share.
	Tokens float64 `json:"saved,omitempty"`
	// ReportOnly: it wants no lease, for the endpoint is sent to without one. It only
	// tells what it has seen.
	ReportOnly bool `json:"calm,omitempty"`
}

// Lease is a worker's share of what an endpoint may be sent.
type Lease struct {
	// TTL is how long it holds, from the moment at which it was asked for.
	TTL postdate.Duration `json:"for"`
	// Pace is the share: its Burst bounds what the worker saves up itself. InFlight 0:
	// nothing may begin. It may be less than what is in flight there: then nothing
	// begins until that is less.
	Pace postdate.Pace `json:"pace"`
	// Tokens is how many attempts may begin at once, beyond what the worker has
	// saved up itself: with those it has at most the share's Burst.
	Tokens float64 `json:"tokens,omitempty"`
	// FailureWaiting is how many wait in line: whoever was not called goes to its end.
	Waiting int `json:"waiting,omitempty"`
	// Required: the endpoint is to be sent to by lease until further notice, though
	// it has no pace of its own.
	Required bool `json:"engaged,omitempty"`
	// BlockedUntil is when the breaker, or the end of a Retry-After, lets the next
	// attempt through. Zero: it is closed to nobody.
	BlockedUntil time.Time `json:"closed_until,omitzero"`
	Reason       string    `json:"reason,omitempty"`
}

// Wake tells a line that its turns have come.
type Wake struct {
	// SupersedeInput are the places of the waiters that newer messages have taken the
	// place of.
	Superseded []int `json:"superseded,omitempty"`
}

const (
	// LeaseTime is how long a lease holds: the share of a worker that died comes
	// back after it.
	LeaseTime = 10 * time.Second
	// LeaseRenewal is how often a worker renews one that it needs.
	LeaseRenewal = 3 * time.Second
)
