package pacer

import (
	"math/rand/v2"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

const (
	// A request that is refused is to come again after minRetry at least, and maxRetry at
	// most.
	minRetry = time.Second
	maxRetry = 5 * time.Minute
)

// schedule spreads refused requests over the time in which permits can be expected, so
// that they do not all come again and again while thousands wait. It is for requests that
// have no line to wait in.
type schedule struct{ next time.Time }

// refuse returns the error for one more request, where inFlight attempts end within each
// duration, and none has ended for as long as stalled: then none is expected to for as long
// again.
func (s *schedule) refuse(now time.Time, duration, stalled time.Duration, inFlight int, reason string) error {
	if duration = max(duration, stalled); duration == 0 { // not known, though so many have begun that another is refused
		duration = postdate.DefaultTimeout
	}
	s.next = later(s.next, now.Add(stalled)).Add(duration / time.Duration(inFlight))
	if latest := now.Add(maxRetry); s.next.After(latest) {
		// More are refused than can be spread: they come at random.
		s.next = latest
		return &throttle.NoPermitError{RetryAfter: maxRetry/2 + rand.N(maxRetry/2), Reason: reason}
	}
	return &throttle.NoPermitError{RetryAfter: max(minRetry, s.next.Sub(now)) + rand.N(minRetry), Reason: reason}
}

// block has nothing come again before until.
func (s *schedule) block(until time.Time) { s.next = later(s.next, until) }
