package workflows

import (
	"math"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// recentHalfLife is the time in which half of the recent statistics is forgotten.
const recentHalfLife = 30 * time.Second

// addRecent is r with the feedback added, where r has decayed until now.
func addRecent(r protocol.RecentStats, feedback throttle.Feedback, now time.Time) protocol.RecentStats {
	if feedback.Attempts() == 0 {
		return r
	}
	left := math.Exp2(-max(0, now.Sub(r.At).Seconds()) / recentHalfLife.Seconds())
	return protocol.RecentStats{
		Attempts:  r.Attempts*left + float64(feedback.Attempts()),
		Succeeded: r.Succeeded*left + float64(feedback.Succeeded),
		Answered:  r.Answered*left + float64(feedback.Answered),
		LatencyMS: r.LatencyMS*left + float64(feedback.LatencyMS),
		At:        now,
	}
}

// throughput is about how many attempts a second the pace allows: 0 where that is unknown.
func throughput(r protocol.RecentStats, pace postdate.Pace) float64 {
	perSecond := math.Inf(1)
	if pace.PerSecond > 0 {
		perSecond = pace.PerSecond
	}
	if r.Answered > 0 {
		seconds := max(0.001, r.LatencyMS/r.Answered/1000)
		perSecond = min(perSecond, float64(pace.InFlight)/seconds)
	}
	if math.IsInf(perSecond, 1) {
		return 0
	}
	return perSecond
}

// drain is from when on the queue drains, and by how many a second: 0 where that is unknown.
func (e *endpoint) drain(t throttle.Throttle, r protocol.RecentStats, now time.Time) (time.Time, float64) {
	if !e.enabled() {
		return now, 0
	}
	from := t.BlockedUntil(now)
	if from.IsZero() {
		from = now
	}
	return from, throughput(r, t.Limit(e.Settings.Pace))
}

// drained is when the first so many of the queue will have been sent: zero where that is
// unknown.
func (e *endpoint) drained(waiting int, now time.Time) time.Time {
	from, perSecond := e.drain(e.Throttle, e.Recent, now)
	if perSecond == 0 {
		return time.Time{}
	}
	return protocol.DrainedAt(from, waiting, perSecond).UTC()
}

// maxHead bounds [protocol.EndpointHealth.Head].
const maxHead = 10

// head is the first lines of the queue, up to the first that was not woken.
func (e *endpoint) head(now time.Time) (head []protocol.HeadLine) {
	for line := range e.queue.all() {
		head = append(head, protocol.HeadLine{ID: line.ID, Waiting: line.counted})
		if len(head) == maxHead || !isWoken(line.QueuedLine, now) {
			break
		}
	}
	return head
}

// health answers [protocol.QueryHealth].
func (e *endpoint) health() (protocol.EndpointHealth, error) {
	now := workflow.Now(e.ctx)
	state, until := e.Throttle.BreakerState(now)
	h := protocol.EndpointHealth{Health: postdate.Health{
		State: e.Settings.State, Breaker: state, BreakerUntil: until, Reason: e.reason(e.Throttle, now),
		Limit: e.Settings.Pace, Pace: e.pace(e.Throttle, now),
		Coalescing: e.coalescing(), Overloaded: !e.OverloadedAt.IsZero(), AsOf: e.Recent.At,
		Canary: e.canaryHealth(),
	}}
	if e.Throttle.NotBefore.After(now) {
		h.NotBefore = e.Throttle.NotBefore.UTC()
	}
	for _, lease := range e.Leases {
		if lease.Until.After(now) {
			h.InFlight += lease.InFlight
		}
	}
	if e.Settings.Pull {
		e.pullHealth(&h.Health, now)
		return h, nil
	}
	if e.queue.len() > 0 {
		h.Waiting, h.OldestWaiting = e.queue.waiting, time.UnixMilli(e.queue.first().Since).UTC()
		h.DrainsAt, h.PerSecond = e.drain(e.Throttle, e.Recent, now)
		h.DrainedAt = h.Drained(h.Waiting, now)
		h.Head = e.head(now)
		if next, ok := e.queue.at(len(h.Head)); ok {
			h.NextSince = time.UnixMilli(next.Since).UTC()
		}
	}
	if e.Recent.Answered > 0 {
		mean := e.Recent.LatencyMS / e.Recent.Answered
		h.LatencyMS = &mean
	}
	if e.Recent.Attempts > 0 {
		ratio := e.Recent.Succeeded / e.Recent.Attempts
		h.SuccessRatio = &ratio
	}
	return h, nil
}

// queuePosition answers [protocol.QueryTurn].
func (e *endpoint) queuePosition(line string) (postdate.QueuePosition, error) {
	endpoint, _ := postdate.SplitCanaryKey(e.ID)
	queued, ok := e.queue.byID[strings.TrimPrefix(line, protocol.LineID(e.Tenant, endpoint, ""))]
	if !ok {
		return postdate.QueuePosition{}, protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "the line is not in the endpoint's queue"))
	}
	ahead := e.queue.ahead(queued)
	return postdate.QueuePosition{Ahead: ahead, EstimatedAt: e.drained(ahead, workflow.Now(e.ctx))}, nil
}

const (
	// longQueue is a queue that counts as an overload though nothing in it expires.
	longQueue = 24 * time.Hour
	// relief is how much faster than needed the queue must drain for an overload to end.
	// Without it an overload would begin and end again and again.
	relief = 1.25
)

// isOverloaded reports whether some of the queue will expire before they are sent, or the
// queue takes more than a day.
func (e *endpoint) isOverloaded(t throttle.Throttle, r protocol.RecentStats, now time.Time) bool {
	was := !e.OverloadedAt.IsZero()
	from, perSecond := e.drain(t, r, now)
	if perSecond == 0 {
		return was && e.queue.len() > 0 // as far as is known
	}
	if was {
		perSecond /= relief
	}
	return e.queue.late(func(ahead int) time.Time { return protocol.DrainedAt(from, ahead, perSecond) }, now.Add(longQueue))
}
