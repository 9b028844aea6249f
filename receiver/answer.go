package receiver

import (
	"errors"
	"fmt"
	"time"
)

// RetryAfter is returned by a function that cannot do its work now, for example
// because a service that it calls is overloaded. Its work is rolled back. The
// message is sent again after d at the earliest, by the sender's own schedule of
// retries. Postdate sends nothing else to that endpoint until then.
//
// It may be wrapped, beside its cause too:
//
//	return fmt.Errorf("crm: %w: %w", err, receiver.RetryAfter(time.Minute))
func RetryAfter(d time.Duration) error { return retryAfterError(d) }

// Abort is returned by a function that can never do its work, for example because
// the message makes no sense. Its work is rolled back. The message is not sent
// again: it becomes a dead letter, and the sender gets the reason. It may be
// wrapped, beside its cause too; if a [RetryAfter] is there as well, that one counts.
func Abort(reason string) error { return abortError(reason) }

// Reschedule is returned by a function that has done its work for now and needs the
// same message again at t. Its work is committed. Copies that were sent before t
// are answered with t again, without a call of the function; the first copy that
// was sent at or after t calls it.
//
// t is rounded up to a whole second, and is at least a second after the message
// was sent. It may be wrapped, but not beside another error: that is a failure.
// Only Postdate understands this answer; other senders take it for a plain success.
func Reschedule(t time.Time) error { return rescheduleError(t) }

type (
	retryAfterError time.Duration
	abortError      string
	rescheduleError time.Time
)

func (e retryAfterError) Error() string { return "retry after " + time.Duration(e).String() }
func (e abortError) Error() string      { return string(e) }
func (e rescheduleError) Error() string {
	return "reschedule to " + time.Time(e).Format(time.RFC3339)
}

// rescheduleTo turns what a function returned into what a store needs: a
// [Reschedule] is committed, any other error is rolled back.
func rescheduleTo(err error, sentAt time.Time) (time.Time, error) {
	answer, ok := rescheduled(err)
	if !ok {
		return time.Time{}, err
	}
	to := time.Time(answer)
	if to.IsZero() {
		return time.Time{}, errors.New("Reschedule was called with the zero time")
	}
	if whole := to.Truncate(time.Second); whole.Before(to) {
		to = whole.Add(time.Second)
	}
	if soonest := sentAt.Truncate(time.Second).Add(time.Second); to.Before(soonest) {
		to = soonest
	}
	return to.UTC(), nil
}

// rescheduled finds a [Reschedule] that was returned alone. It does not use
// errors.As, which would find one that is joined with a failure and hide that.
func rescheduled(err error) (rescheduleError, bool) {
	for ; err != nil; err = errors.Unwrap(err) {
		if answer, ok := err.(rescheduleError); ok { //nolint:errorlint // see above
			return answer, true
		}
	}
	return rescheduleError{}, false
}

// Outcome is what a message came to. The words are those that Postdate uses for
// an attempt.
type Outcome string

// The outcomes of a message.
const (
	// Accepted: handled, now or by an earlier copy. Acknowledge it.
	Accepted Outcome = "accepted"
	// Rescheduled: handled for now. Acknowledge it, and deliver it again at
	// [Result.RescheduleTo].
	Rescheduled Outcome = "rescheduled"
	// Failed: not handled. Deliver it again, after [Result.RetryAfter] if that is
	// not 0.
	Failed Outcome = "failed"
	// Aborted: not handled, and never will be. Do not deliver it again.
	Aborted Outcome = "aborted"
)

// Result says what became of a message, and so what its sender is to do.
type Result struct {
	Outcome Outcome
	// Duplicate reports whether an earlier copy had been handled, so that the
	// function was not called.
	Duplicate bool
	// RescheduleTo is when a Rescheduled message is needed again.
	RescheduleTo time.Time
	// RetryAfter is how long to wait before a Failed message is delivered again.
	// 0: as the sender likes.
	RetryAfter time.Duration
	// Err is why a message Failed or was Aborted.
	Err error
}

// busyRetryAfter is how long the sender of a copy is asked to wait where another
// copy is still being handled, or the database is busy. Postdate sends nothing
// to the endpoint for so long, so it is short.
const busyRetryAfter = time.Second

// resultOf says what follows from what a store answered.
func resultOf(mark Mark, err error) Result {
	if err == nil {
		result := Result{Outcome: Accepted, Duplicate: mark.Duplicate, RescheduleTo: mark.RescheduleTo}
		if !mark.RescheduleTo.IsZero() {
			result.Outcome = Rescheduled
		}
		return result
	}
	result := Result{Outcome: Failed, Err: err}
	if after, ok := errors.AsType[retryAfterError](err); ok {
		result.RetryAfter = max(time.Duration(after), 0)
	} else if _, ok := errors.AsType[abortError](err); ok {
		result.Outcome = Aborted
	} else if isBusy(err) {
		result.RetryAfter = busyRetryAfter
	}
	return result
}

// panicError is what a function that panicked is taken to have returned.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("the function panicked: %v", e.value) }
