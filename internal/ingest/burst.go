package ingest

import (
	"context"
	"fmt"
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
// It counts what this process accepts. What another process accepted, or this one before
// it was restarted, it counts in Temporal: when it first sees a second, and again as the
// burst grows.
type burstLimiter struct {
	perSecond int
	count     func(ctx context.Context, condition string) (int, error)
	counting  *rate.Limiter

	mu sync.Mutex
	// Bursts are dropped a generation at a time, so that a million different seconds
	// take no memory. A burst that was dropped is counted in Temporal again.
	bursts, older map[second]*burst
}

// second is a second in which deliveries of a tenant are due.
type second struct {
	tenant string
	unix   int64
}

// burst counts the deliveries that are due in a second.
type burst struct {
	size    int
	countAt int // beyond this size it is counted in Temporal again
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
)

func newBurstLimiter(perSecond int, count func(ctx context.Context, condition string) (int, error)) *burstLimiter {
	return &burstLimiter{
		perSecond: perSecond, count: count, counting: rate.NewLimiter(countsPerSecond, countsPerSecond),
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
	size, count := l.add(at, 1)
	if count {
		if known := l.countInTemporal(ctx, at); known >= size {
			size, _ = l.add(at, known+1-size)
		}
	}
	excess := max(0, size-l.perSecond)
	return min(maxBurstDelay, time.Duration(excess)*time.Second/time.Duration(l.perSecond))
}

// remove removes a delivery that delay has added.
func (l *burstLimiter) remove(tenant string, due time.Time) {
	if l.perSecond > 0 {
		l.add(second{tenant, due.Unix()}, -1)
	}
}

// add adds n to a burst. It returns its size, and whether to count it in Temporal.
func (l *burstLimiter) add(at second, n int) (size int, count bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.bursts[at]
	if b == nil {
		if len(l.bursts) == maxBursts {
			l.bursts, l.older = make(map[second]*burst), l.bursts
		}
		if b = l.older[at]; b == nil {
			b = &burst{}
		}
		l.bursts[at] = b
	}
	b.size += n
	if count = b.size > b.countAt && l.counting.Allow(); count {
		b.countAt = b.size + max(l.perSecond, b.size/4)
	}
	return b.size, count
}

// countInTemporal counts a burst in Temporal: 0 where Temporal does not answer.
func (l *burstLimiter) countInTemporal(ctx context.Context, at second) int {
	ctx, stop := context.WithTimeout(ctx, countTimeout)
	defer stop()
	then := time.Unix(at.unix, 0)
	n, err := l.count(ctx, fmt.Sprintf("%s AND %s IS NULL AND ExecutionTime >= %s AND ExecutionTime < %s",
		executions.Equals(protocol.AttrTenant, at.tenant), protocol.AttrBurst.GetName(),
		executions.QuoteTime(then), executions.QuoteTime(then.Add(time.Second))))
	if err != nil || n < l.perSecond {
		return n
	}
	delayed, err := l.count(ctx, executions.Equals(protocol.AttrBurst, protocol.BurstOf(at.tenant, then)))
	if err != nil {
		return 0
	}
	return l.perSecond + delayed
}
