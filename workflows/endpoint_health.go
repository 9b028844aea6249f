package workflows

import (
	"math"
	"strings"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// Lately is what attempts came to, in sums of which half is forgotten in
// [latelyHalf].
type Lately struct {
	Attempts  float64   `json:"attempts,omitempty"`
	Succeeded float64   `json:"succeeded,omitempty"`
	Answered  float64   `json:"answered,omitempty"`
	LatencyMS float64   `json:"latency_ms,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

const latelyHalf = 30 * time.Second

func (l Lately) with(seen postdate.Observed, now time.Time) Lately {
	if seen.Attempts() == 0 {
		return l
	}
	left := math.Exp2(-max(0, now.Sub(l.At).Seconds()) / latelyHalf.Seconds())
	return Lately{
		Attempts:  l.Attempts*left + float64(seen.Attempts()),
		Succeeded: l.Succeeded*left + float64(seen.Succeeded),
		Answered:  l.Answered*left + float64(seen.Answered),
		LatencyMS: l.LatencyMS*left + float64(seen.LatencyMS),
		At:        now,
	}
}

// throughput is about how many attempts a second pace makes: 0 where nobody knows.
func (l Lately) throughput(pace postdate.Pace) float64 {
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
func (e *endpoint) drain(f postdate.Flow, l Lately, now time.Time) (time.Time, float64) {
	if !e.enabled() {
		return now, 0
	}
	from := f.ClosedUntil(now)
	if from.IsZero() {
		from = now
	}
	return from, l.throughput(f.Part(e.Settings.Pace))
}

// drained is when none of so many in line will wait any more: zero where nobody knows.
func (e *endpoint) drained(waiting int, now time.Time) time.Time {
	from, perSecond := e.drain(e.Flow, e.Lately, now)
	if perSecond == 0 {
		return time.Time{}
	}
	return after(from, waiting, perSecond).UTC()
}

// after is from and the time that n attempts take.
func after(from time.Time, n int, perSecond float64) time.Time {
	const longest = 100 * 365 * 24 * 3600
	return from.Add(time.Duration(min(float64(n)/perSecond, longest) * float64(time.Second)))
}

// EndpointHealth answers [QueryHealth], as of the last time that anything happened.
type EndpointHealth struct {
	postdate.Health

	// Front are the first lines, up to the first that was not called: who waits in
	// them by now they know better. Behind is since when the first after them waits.
	Front  []FrontLine `json:"front,omitempty"`
	Behind time.Time   `json:"behind,omitzero"`
	// DrainsAt is from when on those in line are sent to, and PerSecond how many: 0
	// where nobody knows.
	DrainsAt  time.Time `json:"drains_at,omitzero"`
	PerSecond float64   `json:"per_second,omitempty"`
}

// FrontLine is one of the first lines, of which so many wait as far as is known.
type FrontLine struct {
	ID      string `json:"id"`
	Waiting int    `json:"waiting"`
}

// maxFront bounds [EndpointHealth.Front]: lines are shorter where there are more of
// them, and come back the sooner.
const maxFront = 10

// front are the first lines, up to the first that was not called.
func (e *endpoint) front(now time.Time) (front []FrontLine) {
	for _, q := range e.Lines[:min(maxFront, len(e.Lines))] {
		front = append(front, FrontLine{q.ID, q.live()})
		if !q.called(now) {
			break
		}
	}
	return front
}

// Drained is when none of so many will wait any more, as seen at now: zero where
// nobody knows.
func (h EndpointHealth) Drained(waiting int, now time.Time) time.Time {
	if h.PerSecond == 0 || waiting == 0 {
		return time.Time{}
	}
	return after(latest(h.DrainsAt, now), waiting, h.PerSecond).UTC()
}

// health answers [QueryHealth].
func (e *endpoint) health() (EndpointHealth, error) {
	now := workflow.Now(e.ctx)
	state, until := e.Flow.Breaker(now)
	h := EndpointHealth{Health: postdate.Health{
		State: e.Settings.State, Breaker: state, BreakerUntil: until, Reason: e.reason(e.Flow, now),
		Limit: e.Settings.Pace, Pace: e.pace(e.Flow, now),
		Waiting: 0, Overloaded: !e.OverloadedAt.IsZero(), AsOf: e.Lately.At,
	}}
	if e.Flow.NotBefore.After(now) {
		h.NotBefore = e.Flow.NotBefore.UTC()
	}
	for _, holder := range e.Leases {
		if holder.Until.After(now) {
			h.InFlight += holder.InFlight
		}
	}
	if len(e.Lines) > 0 {
		h.Waiting, h.OldestWaiting = e.waiting(), time.UnixMilli(e.Lines[0].Since).UTC()
		h.DrainsAt, h.PerSecond = e.drain(e.Flow, e.Lately, now)
		h.DrainedAt = h.Drained(h.Waiting, now)
		if h.Front = e.front(now); len(h.Front) < len(e.Lines) {
			h.Behind = time.UnixMilli(e.Lines[len(h.Front)].Since).UTC()
		}
	}
	if e.Lately.Answered > 0 {
		mean := e.Lately.LatencyMS / e.Lately.Answered
		h.LatencyMS = &mean
	}
	if e.Lately.Attempts > 0 {
		ratio := e.Lately.Succeeded / e.Lately.Attempts
		h.SuccessRatio = &ratio
	}
	return h, nil
}

// turn answers [QueryTurn].
func (e *endpoint) turn(line string) (postdate.Turn, error) {
	line = strings.TrimPrefix(line, LineID(e.Tenant, e.ID, ""))
	var turn postdate.Turn
	for _, q := range e.Lines {
		if q.ID != line {
			turn.Ahead += q.live()
			continue
		}
		turn.At = e.drained(turn.Ahead, workflow.Now(e.ctx))
		return turn, nil
	}
	return turn, refuse(postdate.Errorf(postdate.NotFound, "", "no such line waits"))
}

const (
	// longQueue is a queue that is told of though nothing in it expires.
	longQueue = 24 * time.Hour
	// relief is by how much faster than needed a queue must drain, so that it is
	// over: else it would be told of again and again.
	relief = 1.25
)

// overloaded tells whether some in line will expire before their turn, or the
// last one's is more than a day away.
func (e *endpoint) overloaded(f postdate.Flow, l Lately, now time.Time) bool {
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
		ahead += q.live()
		last := after(from, ahead, perSecond)
		if q.Expires > 0 && last.UnixMilli() > q.Expires || last.Sub(now) > longQueue {
			return true
		}
	}
	return false
}
