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

const recentHalfLife = 30 * time.Second

func addRecent(l protocol.RecentStats, seen throttle.Feedback, now time.Time) protocol.RecentStats {
	if seen.Attempts() == 0 {
		return l
	}
	left := math.Exp2(-max(0, now.Sub(l.At).Seconds()) / recentHalfLife.Seconds())
	return protocol.RecentStats{
		Attempts:  l.Attempts*left + float64(seen.Attempts()),
		Succeeded: l.Succeeded*left + float64(seen.Succeeded),
		Answered:  l.Answered*left + float64(seen.Answered),
		LatencyMS: l.LatencyMS*left + float64(seen.LatencyMS),
		At:        now,
	}
}

// throughput is about how many attempts a second pace makes: 0 where nobody knows.
func throughput(l protocol.RecentStats, pace postdate.Pace) float64 {
	perSecond := math.Inf(1)
	if pace.PerSecond > 0 {
		perSecond = pace.PerSecond
	}
	if l.Answered > 0 {
		seconds := max(0.001, l.LatencyMS/l.Answered/1000)
		perSecond = min(perSecond, float64(pace.InFlight)/seconds)
	}
	if math.IsInf(perSecond, 1) {
		return 0
	}
	return perSecond
}

// drain is when those in line will be sent to again, and how many in a second: 0
// where nobody knows.
func (e *endpoint) drain(f throttle.Throttle, l protocol.RecentStats, now time.Time) (time.Time, float64) {
	if !e.enabled() {
		return now, 0
	}
	from := f.BlockedUntil(now)
	if from.IsZero() {
		from = now
	}
	return from, throughput(l, f.Limit(e.Settings.Pace))
}

// drained is when none of so many in line will wait any more: zero where nobody knows.
func (e *endpoint) drained(waiting int, now time.Time) time.Time {
	from, perSecond := e.drain(e.Throttle, e.Recent, now)
	if perSecond == 0 {
		return time.Time{}
	}
	return protocol.DrainedAt(from, waiting, perSecond).UTC()
}

// maxHead bounds [EndpointHealth.Head]: lines are shorter where there are more of
// them, and come back the sooner.
const maxHead = 10

// head are the first lines, up to the first that was not called.
func (e *endpoint) head(now time.Time) (front []protocol.HeadLine) {
	for _, q := range e.Lines[:min(maxHead, len(e.Lines))] {
		front = append(front, protocol.HeadLine{ID: q.ID, Waiting: remaining(q)})
		if !isWoken(q, now) {
			break
		}
	}
	return front
}

// health answers [QueryHealth].
func (e *endpoint) health() (protocol.EndpointHealth, error) {
	now := workflow.Now(e.ctx)
	state, until := e.Throttle.BreakerState(now)
	h := protocol.EndpointHealth{Health: postdate.Health{
		State: e.Settings.State, Breaker: state, BreakerUntil: until, Reason: e.reason(e.Throttle, now),
		Limit: e.Settings.Pace, Pace: e.pace(e.Throttle, now),
		Waiting: 0, Overloaded: !e.OverloadedAt.IsZero(), AsOf: e.Recent.At,
	}}
	if e.Throttle.NotBefore.After(now) {
		h.NotBefore = e.Throttle.NotBefore.UTC()
	}
	for _, holder := range e.Leases {
		if holder.Until.After(now) {
			h.InFlight += holder.InFlight
		}
	}
	if len(e.Lines) > 0 {
		h.Waiting, h.OldestWaiting = e.waiting(), time.UnixMilli(e.Lines[0].Since).UTC()
		h.DrainsAt, h.PerSecond = e.drain(e.Throttle, e.Recent, now)
		h.DrainedAt = h.Drained(h.Waiting, now)
		if h.Head = e.head(now); len(h.Head) < len(e.Lines) {
			h.NextSince = time.UnixMilli(e.Lines[len(h.Head)].Since).UTC()
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

// permit answers [QueryTurn].
func (e *endpoint) queuePosition(line string) (postdate.QueuePosition, error) {
	line = strings.TrimPrefix(line, protocol.LineID(e.Tenant, e.ID, ""))
	var turn postdate.QueuePosition
	for _, q := range e.Lines {
		if q.ID != line {
			turn.Ahead += remaining(q)
			continue
		}
		turn.EstimatedAt = e.drained(turn.Ahead, workflow.Now(e.ctx))
		return turn, nil
	}
	return turn, protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "no such line waits"))
}

const (
	// longQueue is a queue that is told of though nothing in it expires.
	longQueue = 24 * time.Hour
	// relief is by how much faster than needed a queue must drain, so that it is
	// over: else it would be told of again and again.
	relief = 1.25
)

// isOverloaded tells whether some in line will expire before their turn, or the
// last one's is more than a day away.
func (e *endpoint) isOverloaded(f throttle.Throttle, l protocol.RecentStats, now time.Time) bool {
	was := !e.OverloadedAt.IsZero()
	from, perSecond := e.drain(f, l, now)
	if perSecond == 0 {
		return was && len(e.Lines) > 0 // as far as anybody knows
	}
	if was {
		perSecond /= relief
	}
	ahead := 0
	for _, q := range e.Lines {
		ahead += remaining(q)
		last := protocol.DrainedAt(from, ahead, perSecond)
		if q.Expires > 0 && last.UnixMilli() > q.Expires || last.Sub(now) > longQueue {
			return true
		}
	}
	return false
}
