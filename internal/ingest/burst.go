package ingest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// burstLimiter limits how many of one tenant's deliveries that are due in the same
// second start per second; the rest follow in the seconds after, in the order in which
// they were accepted. Without it one tenant's burst delays all others: Temporal fires
// timers in the order of their times, whichever tenant they belong to.
//
// Temporal's count of a burst is the truth: it has what every process accepted, what was
// moved into the second later, and not what was cancelled. But it is a little behind, and
// is not asked for each delivery. So the size of a burst is what this process accepted,
// corrected by a count: when the burst is first seen, as it grows, and when the last count
// is old.
//
// A delivery keeps the delay with which it was accepted. So where deliveries at the head
// of a burst were cancelled, later ones fill the seconds up to the remaining ones and may
// share some with those: there as many as twice the limit start.
type burstLimiter struct {
	perSecond int
	count     func(ctx context.Context, condition string) (int, error)
	counting  *rate.Limiter
	now       func() time.Time

	mu sync.Mutex
	// Bursts are dropped a generation at a time, so that a million different seconds
	// take no memory. A burst that was dropped is counted in Temporal again.
	bursts, older map[second]*burst
}

// second is a second in which deliveries of a tenant are due: one burst, and what
// unnamed schedules that share an execution have in common.
type second struct {
	tenant string
	unix   int64
}

// burst is the deliveries that are due in a second.
type burst struct {
	size      int
	countedAt time.Time // when Temporal last counted it: zero where it has not
	countNext int       // beyond this size Temporal counts it again
	// recent is what this process accepted lately, which Temporal may not count yet.
	recent []accepted
}

// accepted is how many deliveries were accepted at about a time.
type accepted struct {
	at time.Time
	n  int
}

const (
	// countsPerSecond bounds how often Temporal counts.
	countsPerSecond = 5
	// maxBurstDelay bounds the delay of a delivery.
	maxBurstDelay = time.Hour
	// maxBursts is how many bursts a generation has.
	maxBursts = 10_000
	// countTimeout bounds how long a count may take.
	countTimeout = time.Second
	// countLag is how far a count may be behind, and countAge from which age on it is
	// repeated.
	countLag, countAge = 5 * time.Second, 5 * time.Second
	// recentStep is the precision of what is remembered of the last countLag.
	recentStep = 250 * time.Millisecond
)

func newBurstLimiter(perSecond int, count func(ctx context.Context, condition string) (int, error), now func() time.Time) *burstLimiter {
	return &burstLimiter{
		perSecond: perSecond, count: count, counting: rate.NewLimiter(countsPerSecond, countsPerSecond), now: now,
		bursts: make(map[second]*burst),
	}
}

// delay adds a delivery that is due at a time, and returns how long after that it is to
// start.
func (l *burstLimiter) delay(ctx context.Context, tenant string, due time.Time) time.Duration {
	if l.perSecond == 0 {
		return 0
	}
	at := second{tenant, due.Unix()}
	if l.isCountDue(at) {
		l.countInTemporal(ctx, at)
	}
	excess := max(0, l.add(at, 1)-l.perSecond)
	return min(maxBurstDelay, time.Duration(excess)*time.Second/time.Duration(l.perSecond))
}

// remove removes a delivery that delay has added.
func (l *burstLimiter) remove(tenant string, due time.Time) {
	if l.perSecond > 0 {
		l.add(second{tenant, due.Unix()}, -1)
	}
}

// burst returns the burst of a second, and creates it where there is none.
func (l *burstLimiter) burst(at second) *burst {
	b := l.bursts[at]
	if b != nil {
		return b
	}
	if len(l.bursts) == maxBursts {
		l.bursts, l.older = make(map[second]*burst), l.bursts
	}
	if b = l.older[at]; b == nil {
		b = &burst{}
	}
	l.bursts[at] = b
	return b
}

// isCountDue reports whether the caller is to count a burst in Temporal.
func (l *burstLimiter) isCountDue(at second) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, now := l.burst(at), l.now()
	if b.size < b.countNext && now.Sub(b.countedAt) < countAge || !l.counting.Allow() {
		return false
	}
	b.countedAt, b.countNext = now, b.size+1+max(l.perSecond, b.size/4)
	return true
}

// add adds n to a burst, and returns its size.
func (l *burstLimiter) add(at second, n int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.burst(at)
	b.add(n, l.now())
	return b.size
}

// add adds deliveries that this process accepted.
func (b *burst) add(n int, now time.Time) {
	b.size = max(0, b.size+n)
	if last := len(b.recent) - 1; last >= 0 && now.Sub(b.recent[last].at) < recentStep {
		b.recent[last].n += n
		return
	}
	b.recent = append(slices.DeleteFunc(b.recent, func(a accepted) bool { return !a.isRecent(now) }), accepted{now, n})
}

// isRecent reports whether a count that begins at now may be without a.
func (a accepted) isRecent(now time.Time) bool { return now.Sub(a.at) <= countLag+recentStep }

// correct corrects the size of a burst by a count that began at a time. The burst has
// what was counted at least, and at most what is recent besides.
func (b *burst) correct(counted int, began time.Time) {
	recent := 0
	for _, a := range b.recent {
		if a.isRecent(began) {
			recent += a.n
		}
	}
	b.size = min(max(b.size, counted), counted+max(0, recent))
}

// countInTemporal counts a burst in Temporal. Where Temporal does not answer the burst
// stays as it is.
func (l *burstLimiter) countInTemporal(ctx context.Context, at second) {
	ctx, stop := context.WithTimeout(ctx, countTimeout)
	defer stop()
	began, then := l.now(), time.Unix(at.unix, 0)
	undelayed, err := l.count(ctx, fmt.Sprintf("%s AND %s IS NULL AND ExecutionTime >= %s AND ExecutionTime < %s",
		executions.Equals(protocol.AttrTenant, at.tenant), protocol.AttrBurst.GetName(),
		executions.QuoteTime(then), executions.QuoteTime(then.Add(time.Second))))
	if err != nil {
		return
	}
	delayed := 0
	if undelayed >= l.perSecond {
		delayed, err = l.count(ctx, executions.Equals(protocol.AttrBurst, protocol.BurstOf(at.tenant, then)))
		if err != nil {
			return
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.burst(at).correct(undelayed+delayed, began)
}
