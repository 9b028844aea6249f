package pacer

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// A local limiter is one of this process alone. It is for receivers that have no Endpoint
// execution to grant leases: the hosts of bare urls, by tenant, and endpoints that are not
// enabled, which get tests and nothing else. It has a throttle with a breaker of its own.

const (
	// maxLocalOpen bounds how long the breaker of a local limiter is open. It is short,
	// since nobody disables or resumes a bare url: what is due there has to come to its end.
	maxLocalOpen = 30 * time.Second
	// hangsAfter is how long an attempt without an answer takes to count as a failure. A
	// host serves many urls: one of them that refuses, or a port that is closed, keeps
	// nobody waiting, and says nothing of the others.
	hangsAfter = time.Second
)

// setLocalPace applies the limits of a local limiter.
func (l *limiter) setLocalPace(pace postdate.Pace, now time.Time) {
	if pace == l.pace {
		return
	}
	first := l.pace == postdate.Pace{}
	l.pace = pace
	tokens := 0.0
	if first {
		l.bucket.at = now
		tokens = float64(pace.Burst)
	}
	l.bucket.setShare(pace, tokens, now, false)
}

// localPace is what may be sent now without a lease.
func (l *limiter) localPace(now time.Time) postdate.Pace {
	if !l.local {
		return l.pace
	}
	return l.throttle.Pace(l.pace, now)
}

// localBlockedUntil is when a local limiter's breaker lets a probe through: zero where it
// is not open.
func (l *limiter) localBlockedUntil(now time.Time) time.Time {
	if !l.local {
		return time.Time{}
	}
	return l.throttle.BlockedUntil(now)
}

func (l *limiter) blockedBeyond(at time.Time) bool {
	return l.throttle.BlockedUntil(l.p.config.Now()).After(at)
}

// observe applies the result of an attempt to a local limiter's throttle. A Retry-After
// holds for the message that got it, not for all that goes to its host.
func (l *limiter) observe(attempt postdate.Attempt, now time.Time) {
	attempt.RetryAfter = 0
	hung := attempt.Status == 0 && !succeeded(attempt) && attempt.DurationMS >= hangsAfter.Milliseconds()
	if !hung && !attempt.Busy {
		attempt.Outcome = postdate.Accepted
	}
	before, _ := l.throttle.BreakerState(now)
	l.throttle = l.throttle.Observe(addAttempt(throttle.Feedback{}, attempt, now), now)
	if latest := now.Add(maxLocalOpen); l.throttle.Breaker.OpenUntil.After(latest) {
		l.throttle.Breaker.OpenUntil = latest
	}
	after, until := l.throttle.BreakerState(now)
	switch {
	case before == postdate.BreakerClosed && after == postdate.BreakerOpen:
		l.p.config.Log.LogAttrs(l.p.ctx, slog.LevelWarn, "circuit breaker opened", slog.String("tenant", l.tenant),
			slog.String("receiver", l.id), slog.Time("until", until.UTC()))
	case before == postdate.BreakerHalfOpen && after == postdate.BreakerClosed:
		l.p.config.Log.LogAttrs(l.p.ctx, slog.LevelWarn, "circuit breaker closed", slog.String("tenant", l.tenant),
			slog.String("receiver", l.id))
	}
}

// noPermit is the error for a request that gets no permit.
func (l *limiter) noPermit(now time.Time) error {
	if !l.local {
		return &throttle.NoPermitError{RetryAfter: retryInterval, Reason: cmp.Or(l.lease.Reason, throttle.ErrNoPermit.Error())}
	}
	reason := fmt.Sprintf("%d attempts are under way at this receiver already", l.inFlight)
	if until := l.throttle.BlockedUntil(now); !until.IsZero() {
		l.schedule.block(until)
		reason = "too many attempts at this receiver got no answer: none is made before " + until.UTC().Format(time.RFC3339)
	}
	return l.schedule.refuse(now, l.avgDuration, l.stalled(now), max(1, l.throttle.Limit(l.pace).InFlight), reason)
}
