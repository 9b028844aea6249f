package ingest

import (
	"context"
	"fmt"
	"log/slog"
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
// share some with those: there as many as twice the limit start. For the same reason a
// burst keeps the limit that it has begun with, as long as this process remembers it.
type burstLimiter struct {
	perSecond func() int // the limit of bursts that begin now: 0 for none
	count     func(ctx context.Context, condition string) (int, error)
	counting  *rate.Limiter
	now       func() time.Time
	log       *slog.Logger

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
	perSecond int // so many start per second
	size      int
	countedAt time.Time // when Temporal last counted it: zero where it has not
	countNext int       // beyond this size Temporal counts it again
	// recent is what this process accepted lately, which Temporal may not count yet.
	recent   []accepted
	shared   int  // messages in groups that this process started
	reported bool // to the operator: it is put off for long
}

// accepted is how many deliveries were accepted at about a time.
type accepted struct {
	at time.Time
	n  int
}

const (
	// sharedPerExecution is how many messages of groups count as much as an execution that
	// is woken: what they cost.
	sharedPerExecution = 20
	// countsPerSecond bounds how often Temporal counts.
	countsPerSecond = 5
	// LongDelay is a delay of which the operator is told, and who creates many at once.
	LongDelay = time.Minute
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

func newBurstLimiter(
	perSecond func() int, count func(ctx context.Context, condition string) (int, error), now func() time.Time, log *slog.Logger,
) *burstLimiter {
	return &burstLimiter{
		perSecond: perSecond, count: count, counting: rate.NewLimiter(countsPerSecond, countsPerSecond), now: now, log: log,
		bursts: make(map[second]*burst),
	}
}

// delay adds a delivery that is due at a time, and returns how long after that it is to
// start.
//
// How late it starts shows whether the workers can begin so many per second as it returns:
// 0 where too few come before it. Those that come before three quarters of the limit show
// nothing, so that small bursts do not lower it far. Those between there and the limit are
// needed: where it has grown beyond all bursts, nothing else shows that it is too high.
func (l *burstLimiter) delay(ctx context.Context, tenant string, due time.Time) (delay time.Duration, shows int) {
	return l.delayGroup(ctx, tenant, due, 0)
}

// delayGroup is delay for an execution that so many messages share.
func (l *burstLimiter) delayGroup(ctx context.Context, tenant string, due time.Time, messages int) (delay time.Duration, shows int) {
	if l.perSecond() == 0 {
		return 0, 0
	}
	at := second{tenant, due.Unix()}
	if l.isCountDue(at) {
		l.countInTemporal(ctx, at)
	}
	b := l.add(at, 1, messages)
	place, excess := b.size, max(0, b.size-b.perSecond)
	if messages > 0 {
		place = max(place, b.shared/sharedPerExecution)
		excess = max(excess, (b.shared-messages)/sharedPerExecution)
	}
	delay = min(maxBurstDelay, time.Duration(excess)*time.Second/time.Duration(b.perSecond))
	if delay > LongDelay && l.report(at) {
		l.log.LogAttrs(ctx, slog.LevelWarn, "a tenant's burst is put off by more than a minute: spread it, add workers, or raise POSTDATE_TENANT_BURST_PER_SECOND where they could do more",
			slog.String("tenant", tenant), slog.Time("due_at", due.UTC()), slog.Int("per_second", b.perSecond))
	}
	if shows = min(place, b.perSecond); 4*shows <= 3*b.perSecond {
		shows = 0
	}
	return delay, shows
}

// report reports whether the operator is to be told of a burst: once.
func (l *burstLimiter) report(at second) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.burst(at)
	first := !b.reported
	b.reported = true
	return first
}

// remove removes a delivery that delay has added.
func (l *burstLimiter) remove(tenant string, due time.Time) { l.removeGroup(tenant, due, 0) }

// removeGroup removes what delayGroup has added.
func (l *burstLimiter) removeGroup(tenant string, due time.Time, messages int) {
	if l.perSecond() > 0 {
		l.add(second{tenant, due.Unix()}, -1, -messages)
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
		b = &burst{perSecond: l.perSecond()}
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
	b.countedAt, b.countNext = now, b.size+1+max(b.perSecond, b.size/4)
	return true
}

// add adds n executions to a burst, which share so many messages, and returns what it then
// is.
func (l *burstLimiter) add(at second, n, messages int) burst {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.burst(at)
	b.add(n, l.now())
	b.shared += messages
	return *b
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
	delayed, err := l.count(ctx, executions.Equals(protocol.AttrBurst, protocol.BurstOf(at.tenant, then)))
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.burst(at).correct(undelayed+delayed, began)
}
