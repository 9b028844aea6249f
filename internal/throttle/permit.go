package throttle

import (
	"errors"
	"time"

	"github.com/postdate/postdate"
)

// ErrNoPermit says that no permit came within the time that the request may wait. The
// delivery is to be queued.
var ErrNoPermit = errors.New("the endpoint has no free permit")

// NoPermitError is an [ErrNoPermit] that says when to ask again: for deliveries that have no
// line to wait in.
type NoPermitError struct {
	RetryAfter time.Duration
	Reason     string
}

func (e *NoPermitError) Error() string { return e.Reason }

// Is reports whether target is [ErrNoPermit].
func (*NoPermitError) Is(target error) bool { return target == ErrNoPermit }

// PermitRequest asks for a permit to make attempts at an endpoint.
type PermitRequest struct {
	// Dequeued: the delivery's line was woken. Other requests never overtake a queue.
	Dequeued bool
	// Since is when the delivery was accepted. The oldest waiting request is served first.
	Since time.Time
	// MaxWait bounds the wait in place. 0: the limiter's own bound.
	MaxWait time.Duration
	// N is the number of attempts, which all begin together. 0 stands for one.
	N int
}

// Permit allows as many attempts at an endpoint as were requested. It is called once for
// each of them when it ends, with its result. An outcome that is no attempt's says that
// none was made.
type Permit func(attempt postdate.Attempt)

// Release ends one attempt.
func (p Permit) Release(attempt postdate.Attempt) { p(attempt) }

// Unlimited is the permit of attempts that need none.
var Unlimited Permit = func(postdate.Attempt) {}
