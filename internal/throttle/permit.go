package throttle

import (
	"errors"
	"time"

	"github.com/postdate/postdate"
)

// ErrNoPermit says that no permit comes as soon as one was wanted: the delivery is to
// be queued.
var ErrNoPermit = errors.New("the endpoint has no permit to give just now")

// PermitRequest asks for leave to make attempts at an endpoint.
type PermitRequest struct {
	// Dequeued: its line was woken. Other requests do not pass what is queued.
	Dequeued bool
	// Since is when the delivery was accepted. Of requests that wait the oldest is first.
	Since time.Time
	// MaxWait is how long it waits in place. 0: the limiter's own bound.
	MaxWait time.Duration
	// N is how many attempts it is for, which begin together. 0 stands for one.
	N int
}

// Permit is leave to make attempts at an endpoint: as many as were requested. It is
// called once for each of them when it is done, with what it came to; an outcome that is
// no attempt's says that none was made.
type Permit func(attempt postdate.Attempt)

// Release ends one attempt.
func (p Permit) Release(attempt postdate.Attempt) { p(attempt) }

// Unlimited is the permit of attempts that need none.
var Unlimited Permit = func(postdate.Attempt) {}
