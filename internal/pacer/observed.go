package pacer

import (
	"net/http"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// slowFailure tells those that got no answer because it took too long from those
// that were refused at once.
const slowFailure = time.Second

// count is o with one attempt more, which ended now.
func count(o throttle.Feedback, made postdate.Attempt, now time.Time) throttle.Feedback {
	if made.Status != 0 {
		o.Answered++
		o.LatencyMS += made.DurationMS
	}
	switch {
	case failed(made):
		o.Failed++
		o.Trailing++
		if slowed(made) {
			o.Slowed++
		}
	case succeeded(made):
		o.Succeeded++
		o.Trailing = 0
	}
	if made.RetryAfter > 0 && !succeeded(made) {
		o.NotBefore = later(o.NotBefore, now.Add(made.RetryAfter.Duration()))
	}
	return o
}

func succeeded(made postdate.Attempt) bool {
	return made.Outcome == postdate.Accepted || made.Outcome == postdate.Rescheduled
}

// failed tells whether the endpoint seems to be in trouble. A refusal of one
// message says nothing of the next.
func failed(made postdate.Attempt) bool {
	if succeeded(made) {
		return false
	}
	return made.Status == 0 || made.Status >= http.StatusInternalServerError ||
		made.Status == http.StatusRequestTimeout || made.Status == http.StatusTooManyRequests
}

// slowed tells whether a failed attempt asks for less.
func slowed(made postdate.Attempt) bool {
	switch made.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	case 0:
		return time.Duration(made.DurationMS)*time.Millisecond >= slowFailure
	}
	return false
}

// asksForRest tells whether the receiver itself asked for less.
func asksForRest(made postdate.Attempt) bool {
	return !succeeded(made) && (made.RetryAfter > 0 ||
		made.Status == http.StatusTooManyRequests || made.Status == http.StatusServiceUnavailable)
}

// defaultSecret is what was seen first and then.
func merge(first, then throttle.Feedback) throttle.Feedback {
	if then.Succeeded == 0 {
		then.Trailing += first.Trailing
	}
	then.Succeeded += first.Succeeded
	then.Failed += first.Failed
	then.Slowed += first.Slowed
	then.Answered += first.Answered
	then.LatencyMS += first.LatencyMS
	then.NotBefore = later(first.NotBefore, then.NotBefore)
	return then
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// average is how long attempts take, with one more: those of late count most.
func average(takes time.Duration, made postdate.Attempt) time.Duration {
	took := max(time.Duration(made.DurationMS)*time.Millisecond, time.Millisecond)
	if takes == 0 {
		return took
	}
	return takes + (took-takes)/8
}
