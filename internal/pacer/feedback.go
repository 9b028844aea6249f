package pacer

import (
	"net/http"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// slowFailure tells attempts that got no answer in time from those that were refused
// at once.
const slowFailure = time.Second

// addAttempt is f with one attempt more, which ended now.
func addAttempt(f throttle.Feedback, attempt postdate.Attempt, now time.Time) throttle.Feedback {
	if attempt.Status != 0 || succeeded(attempt) {
		f.Answered++
		f.LatencyMS += attempt.DurationMS
	}
	switch {
	case failed(attempt):
		f.Failed++
		f.Trailing++
		if slowed(attempt) {
			f.Slowed++
		}
	case succeeded(attempt):
		f.Succeeded++
		f.Trailing = 0
	}
	if attempt.RetryAfter > 0 && !succeeded(attempt) {
		f.NotBefore = later(f.NotBefore, now.Add(attempt.RetryAfter.Duration()))
	}
	return f
}

func succeeded(attempt postdate.Attempt) bool {
	return attempt.Outcome == postdate.Accepted || attempt.Outcome == postdate.Rescheduled
}

// failed reports whether the endpoint seems to be in trouble. The refusal of one message
// says nothing about the next.
func failed(attempt postdate.Attempt) bool {
	if succeeded(attempt) {
		return false
	}
	if attempt.Outcome == postdate.Refused {
		return false
	}
	return attempt.Status == 0 || attempt.Status >= http.StatusInternalServerError ||
		attempt.Status == http.StatusRequestTimeout || attempt.Status == http.StatusTooManyRequests
}

// slowed reports whether a failed attempt asks for less.
func slowed(attempt postdate.Attempt) bool {
	switch attempt.Status {
	case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		return true
	case 0:
		return attempt.Busy || time.Duration(attempt.DurationMS)*time.Millisecond >= slowFailure
	}
	return false
}

// asksForLess reports whether the receiver itself asked for less.
func asksForLess(attempt postdate.Attempt) bool {
	return !succeeded(attempt) && (attempt.Busy || attempt.RetryAfter > 0 ||
		attempt.Status == http.StatusTooManyRequests || attempt.Status == http.StatusServiceUnavailable)
}

// merge is the feedback of both, where next came after earlier.
func merge(earlier, next throttle.Feedback) throttle.Feedback {
	if next.Succeeded == 0 {
		next.Trailing += earlier.Trailing
	}
	next.Succeeded += earlier.Succeeded
	next.Failed += earlier.Failed
	next.Slowed += earlier.Slowed
	next.Answered += earlier.Answered
	next.LatencyMS += earlier.LatencyMS
	next.NotBefore = later(earlier.NotBefore, next.NotBefore)
	return next
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// average is the mean duration of attempts with one attempt more. Recent attempts count most.
func average(mean time.Duration, attempt postdate.Attempt) time.Duration {
	return averageOf(mean, time.Duration(attempt.DurationMS)*time.Millisecond)
}

func averageOf(mean, took time.Duration) time.Duration {
	took = max(took, time.Millisecond)
	if mean == 0 {
		return took
	}
	return mean + (took-mean)/8
}
