package workflows

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// Queuer is a line that waits for its endpoint's call. Its names are short, for
// all of them go into the next run as one value.
type Queuer struct {
	ID      string `json:"i"`
	Waiting int    `json:"n"`
	// Moments are milliseconds since 1970. Since is when the first in it was
	// accepted, Expires the earliest end: 0 where none expires.
	Since   int64 `json:"s"`
	Expires int64 `json:"e,omitempty"`
	// Called is when it was called, and Rest until when it is not, for the last
	// call came to nothing. 0: it was not.
	Called int64 `json:"c,omitempty"`
	Rest   int64 `json:"r,omitempty"`
	// Old are the places whose messages are superseded: a bit each.
	Old []byte `json:"o,omitempty"`
}

// Newest is where the newest message of an entity and type waits.
type Newest struct {
	Line  string `json:"l"`
	Place int    `json:"p"`
}

const (
	// maxLines is how many lines are remembered, and maxKeys how many entities and
	// types: both go into the next run as one value, of which the engine takes
	// 2 MB. A line that was not remembered comes again after a while.
	maxLines = 10_000
	maxKeys  = 10_000
	// At least minCalled lines are called at once, and as many as hold twice what
	// may be in flight, so that the next begins when one ends; but none beyond
	// maxCalled deliveries.
	minCalled = 2
	maxCalled = 300
	// calledFor is after how long a called line that did not come back is called
	// again: a call lasts for a minute.
	calledFor = 3 * time.Minute
	// restFor is how long a line rests whose call came to nothing.
	restFor = time.Second
	// maxFarewell is how many are called at once where their endpoint is deleted.
	maxFarewell = 100
)

// join answers [UpdateJoin].
func (e *endpoint) join(ctx workflow.Context, up activities.LineUp) error {
	if up.Waiting > 0 {
		e.line(up, workflow.Now(ctx), false)
	}
	e.busy(ctx)
	e.decide(ctx, nil)
	return nil
}

// leave answers [UpdateLeave].
func (e *endpoint) leave(ctx workflow.Context, up activities.LineUp) error {
	if up.Waiting > 0 {
		e.line(up, workflow.Now(ctx), true)
	} else {
		e.drop(up.ID)
	}
	e.busy(ctx)
	e.decide(ctx, nil)
	return nil
}

// line notes a line in its place: who waits longest is first.
func (e *endpoint) line(up activities.LineUp, now time.Time, left bool) {
	q := Queuer{ID: up.ID, Waiting: up.Waiting, Since: up.Since.UnixMilli()}
	if !up.ExpiresAt.IsZero() {
		q.Expires = up.ExpiresAt.UnixMilli()
	}
	at := e.find(up.ID)
	switch {
	case at < 0 && len(e.Lines) >= maxLines:
		return
	case at >= 0:
		before := e.Lines[at]
		q.Old = before.Old
		if !left && now.Sub(time.UnixMilli(before.Called)) < time.Minute {
			q.Called = before.Called // it is told twice that it joined
		}
		if left && before.Waiting == up.Waiting {
			q.Rest = now.Add(restFor).UnixMilli()
		}
		e.Lines = slices.Delete(e.Lines, at, at+1)
	}
	to, _ := slices.BinarySearchFunc(e.Lines, q, func(a, b Queuer) int { return cmp.Or(cmp.Compare(a.Since, b.Since), -1) })
	e.Lines = slices.Insert(e.Lines, to, q)
	e.coalesce(q, up.Keys)
}

func (e *endpoint) find(id string) int {
	return slices.IndexFunc(e.Lines, func(q Queuer) bool { return q.ID == id })
}

func (e *endpoint) drop(id string) {
	if at := e.find(id); at >= 0 {
		e.Lines = slices.Delete(e.Lines, at, at+1)
	}
}

// waiting is how many wait in line.
func (e *endpoint) waiting() (n int) {
	for _, q := range e.Lines {
		n += q.live()
	}
	return n
}

// toCall are the lines whose turn is now.
func (e *endpoint) toCall(f postdate.Flow, now time.Time) []string {
	if e.deleted() { // their own attempts find that out
		return e.firstIDs(maxFarewell)
	}
	pace := e.pace(f, now)
	if pace.InFlight == 0 {
		return nil
	}
	state, _ := f.Breaker(now)
	probing := state == postdate.BreakerHalfOpen
	lines, deliveries := 0, 0
	for _, q := range e.Lines {
		if q.called(now) {
			lines++
			deliveries += q.live()
		}
	}
	var call []string
	for _, q := range e.Lines {
		enough := lines >= minCalled && deliveries >= 2*pace.InFlight
		switch {
		case q.called(now) || q.Rest > now.UnixMilli():
			continue
		case probing && lines > 0, enough, lines > 0 && deliveries+q.live() > maxCalled:
			return call
		}
		call = append(call, q.ID)
		lines++
		deliveries += q.live()
	}
	return call
}

func (e *endpoint) firstIDs(n int) (ids []string) {
	for _, q := range e.Lines[:min(n, len(e.Lines))] {
		ids = append(ids, q.ID)
	}
	return ids
}

// called tells whether q was called, and is expected back.
func (q Queuer) called(now time.Time) bool {
	return q.Called > 0 && now.Sub(time.UnixMilli(q.Called)) < calledFor
}

// call tells a line that its turns have come. One that is not there any more is
// forgotten.
func (e *endpoint) call(id string, now time.Time) {
	var told Call
	if at := e.find(id); at >= 0 {
		e.Lines[at].Called = now.UnixMilli()
		told.Superseded = e.Lines[at].superseded()
	}
	if e.deleted() {
		e.drop(id)
	}
	e.calling++
	calling := workflow.SignalExternalWorkflow(e.ctx, LineID(e.Tenant, e.ID, id), "", SignalCall, told)
	workflow.Go(e.ctx, func(ctx workflow.Context) {
		err := calling.Get(ctx, nil)
		e.calling--
		if err != nil {
			e.drop(id)
			e.decide(ctx, nil) // the next one
		}
	})
}

// coalesce notes which of those who wait are the newest of their entity and type,
// and which are not any more.
func (e *endpoint) coalesce(q Queuer, keys []string) {
	if !e.Settings.Coalesce && e.Known {
		return
	}
	for place, key := range keys {
		if key == "" || place >= MaxLine {
			continue
		}
		key, mine := shortKey(key), Newest{Line: q.ID, Place: place}
		last, known := e.Newest[key]
		switch {
		case !known || e.find(last.Line) < 0:
			if !known && len(e.Newest) >= maxKeys && !e.purge() {
				continue
			}
		case last == mine:
			continue
		case e.newer(mine, last):
			e.supersede(last.Line, last.Place)
		default:
			e.supersede(q.ID, place)
			continue
		}
		if e.Newest == nil {
			e.Newest = map[string]Newest{}
		}
		e.Newest[key] = mine
	}
}

// newer tells whether a is newer than b: lines stand in the order of time.
func (e *endpoint) newer(a, b Newest) bool {
	if a.Line == b.Line {
		return a.Place > b.Place
	}
	return e.find(a.Line) > e.find(b.Line)
}

// purge forgets the keys of lines that are gone, and answers whether there were any.
func (e *endpoint) purge() bool {
	there := make(map[string]bool, len(e.Lines))
	for _, q := range e.Lines {
		there[q.ID] = true
	}
	before := len(e.Newest)
	for _, key := range workflow.DeterministicKeys(e.Newest) {
		if !there[e.Newest[key].Line] {
			delete(e.Newest, key)
		}
	}
	return len(e.Newest) < before
}

func (e *endpoint) supersede(id string, place int) {
	at := e.find(id)
	if at < 0 {
		return
	}
	q := &e.Lines[at]
	if len(q.Old) == 0 {
		q.Old = make([]byte, (MaxLine+7)/8)
	}
	q.Old[place/8] |= 1 << (place % 8)
}

// superseded are the places of those whose messages are.
func (q Queuer) superseded() (places []int) {
	for place := range 8 * len(q.Old) {
		if q.Old[place/8]&(1<<(place%8)) != 0 {
			places = append(places, place)
		}
	}
	return places
}

// live is about how many of q will need a turn.
func (q Queuer) live() int { return max(1, q.Waiting-len(q.superseded())) }

// shortKey stands for an entity and type, in few bytes.
func shortKey(key string) string {
	hash := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(hash[:12])
}
