package pacer

import (
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// permit counts the attempts of a permit that have not ended.
type permit struct {
	l    *limiter
	left int
}

// issue makes a permit for n attempts, which are in flight from now on.
func (l *limiter) issue(n int, now time.Time) *permit {
	l.inFlight += n
	l.progressAt = now
	return &permit{l: l, left: n}
}

// release ends one attempt. It returns false where all have ended before.
func (p *permit) release(attempt postdate.Attempt) bool {
	p.l.mu.Lock()
	defer p.l.mu.Unlock()
	if p.left == 0 {
		return false
	}
	p.left--
	p.l.release(attempt)
	return true
}

// releaseUnused ends all attempts of a permit that is not used.
func (p *permit) releaseUnused() {
	for p.release(postdate.Attempt{}) {
	}
}

func (l *limiter) release(attempt postdate.Attempt) {
	now := l.p.config.Now()
	l.inFlight--
	l.usedAt, l.progressAt = now, now
	if !protocol.Attempted(attempt.Outcome) {
		if (l.local || l.live(now)) && l.bucket.rate > 0 {
			l.bucket.tokens = min(l.bucket.tokens+1, l.bucket.burst)
		}
		l.grant(now)
		return
	}
	if l.local {
		l.avgDuration = average(l.avgDuration, attempt)
		l.observe(attempt, now)
		l.grant(now)
		return
	}
	first := l.feedback == throttle.Feedback{}
	l.feedback = addAttempt(l.feedback, attempt, now)
	l.avgDuration = average(l.avgDuration, attempt)
	l.evaluate(attempt, now)
	if l.inFlight == 0 {
		l.idleAt = now
	}
	if l.leased || first || len(l.waiting) > 0 {
		if first {
			l.reportAt = now.Add(jittered(reportInterval))
		}
		l.grant(now)
	}
}

// evaluate acts on what cannot wait for the endpoint's execution.
func (l *limiter) evaluate(attempt postdate.Attempt, now time.Time) {
	switch {
	case succeeded(attempt):
		l.consecutiveFailures = 0
		// A probe was the only attempt in flight: what follows depends on its result.
		l.urgent = l.urgent || l.leased && l.lease.Reason != "" && l.inFlight == 0
		return
	case !failed(attempt):
		return
	}
	l.consecutiveFailures++
	l.failedAt = now
	rest := asksForLess(attempt)
	if !l.leased && (rest || l.consecutiveFailures >= leaseAfterFailures) {
		l.requireLease(now)
	}
	l.urgent = l.urgent || l.leased && (rest || l.lease.Reason != "")
	if l.consecutiveFailures%leaseAfterFailures == 0 || attempt.RetryAfter > 0 {
		l.urgent = true
		l.holdSeq++
	}
}
