package workflows

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// maxLines is how many lines are remembered, and maxKeys how many entities and
	// types: both go into the next run as one value, of which the engine takes
	// 2 MB. A line that was not remembered comes again after a while.
	maxLines = 10_000
	maxKeys  = 10_000
	// At least minCalled lines are called at once, and as many as hold twice what
	// may be in flight, so that the next begins when one ends; but none beyond
	// maxCalled deliveries.
	minWoken = 2
	maxWoken = 300
	// wakeTimeout is after how long a called line that did not come back is called
	// again: a call lasts for a minute.
	wakeTimeout = 3 * time.Minute
	// restTime is how long a line rests whose call came to nothing.
	restTime = time.Second
	// maxWokenAtDeletion is how many are called at once where their endpoint is deleted.
	maxWokenAtDeletion = 100
)

// join answers [UpdateJoin].
func (e *endpoint) join(ctx workflow.Context, up protocol.LineStatus) error {
	if up.Waiting > 0 {
		e.upsert(up, workflow.Now(ctx), false)
	}
	e.markBusy(ctx)
	e.apply(ctx, nil)
	return nil
}

// leave answers [UpdateLeave].
func (e *endpoint) leave(ctx workflow.Context, up protocol.LineStatus) error {
	if up.Waiting > 0 {
		e.upsert(up, workflow.Now(ctx), true)
	} else {
		e.remove(up.ID)
	}
	e.markBusy(ctx)
	e.apply(ctx, nil)
	return nil
}

// upsert notes a line in its place: who waits longest is first.
func (e *endpoint) upsert(up protocol.LineStatus, now time.Time, left bool) {
	q := protocol.QueuedLine{ID: up.ID, Waiting: up.Waiting, Since: up.Since.UnixMilli()}
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
			q.Rest = now.Add(restTime).UnixMilli()
		}
		e.Lines = slices.Delete(e.Lines, at, at+1)
	}
	to, _ := slices.BinarySearchFunc(e.Lines, q, func(a, b protocol.QueuedLine) int { return cmp.Or(cmp.Compare(a.Since, b.Since), -1) })
	e.Lines = slices.Insert(e.Lines, to, q)
	e.coalesce(q, up.Keys)
}

func (e *endpoint) find(id string) int {
	return slices.IndexFunc(e.Lines, func(q protocol.QueuedLine) bool { return q.ID == id })
}

func (e *endpoint) remove(id string) {
	if at := e.find(id); at >= 0 {
		e.Lines = slices.Delete(e.Lines, at, at+1)
	}
}

// waiting is how many wait in line.
func (e *endpoint) waiting() (n int) {
	for _, q := range e.Lines {
		n += remaining(q)
	}
	return n
}

// toWake are the lines whose turn is now.
func (e *endpoint) toWake(f throttle.Throttle, now time.Time) []string {
	if e.deleted() { // their own attempts find that out
		return e.firstIDs(maxWokenAtDeletion)
	}
	pace := e.pace(f, now)
	if pace.InFlight == 0 {
		return nil
	}
	state, _ := f.BreakerState(now)
	probing := state == postdate.BreakerHalfOpen
	lines, deliveries := 0, 0
	for _, q := range e.Lines {
		if isWoken(q, now) {
			lines++
			deliveries += remaining(q)
		}
	}
	var call []string
	for _, q := range e.Lines {
		enough := lines >= minWoken && deliveries >= 2*pace.InFlight
		switch {
		case isWoken(q, now) || q.Rest > now.UnixMilli():
			continue
		case probing && lines > 0, enough, lines > 0 && deliveries+remaining(q) > maxWoken:
			return call
		}
		call = append(call, q.ID)
		lines++
		deliveries += remaining(q)
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
func isWoken(q protocol.QueuedLine, now time.Time) bool {
	return q.Called > 0 && now.Sub(time.UnixMilli(q.Called)) < wakeTimeout
}

// wakeLine tells a line that its turns have come. One that is not there any more is
// forgotten.
func (e *endpoint) wakeLine(id string, now time.Time) {
	var told protocol.Wake
	if at := e.find(id); at >= 0 {
		e.Lines[at].Called = now.UnixMilli()
		told.Superseded = supersededIn(e.Lines[at])
	}
	if e.deleted() {
		e.remove(id)
	}
	e.waking++
	calling := workflow.SignalExternalWorkflow(e.ctx, protocol.LineID(e.Tenant, e.ID, id), "", protocol.SignalCall, told)
	workflow.Go(e.ctx, func(ctx workflow.Context) {
		err := calling.Get(ctx, nil)
		e.waking--
		if err != nil {
			e.remove(id)
			e.apply(ctx, nil) // the next one
		}
	})
}

// coalesce notes which of those who wait are the newest of their entity and type,
// and which are not any more.
func (e *endpoint) coalesce(q protocol.QueuedLine, keys []string) {
	if !e.Settings.Coalesce && e.Known {
		return
	}
	for place, key := range keys {
		if key == "" || place >= protocol.MaxLine {
			continue
		}
		key, mine := shortKey(key), protocol.LatestEntry{Line: q.ID, Place: place}
		last, known := e.Latest[key]
		switch {
		case !known || e.find(last.Line) < 0:
			if !known && len(e.Latest) >= maxKeys && !e.purge() {
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
		if e.Latest == nil {
			e.Latest = map[string]protocol.LatestEntry{}
		}
		e.Latest[key] = mine
	}
}

// newer tells whether a is newer than b: lines stand in the order of time.
func (e *endpoint) newer(a, b protocol.LatestEntry) bool {
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
	before := len(e.Latest)
	for _, key := range workflow.DeterministicKeys(e.Latest) {
		if !there[e.Latest[key].Line] {
			delete(e.Latest, key)
		}
	}
	return len(e.Latest) < before
}

func (e *endpoint) supersede(id string, place int) {
	at := e.find(id)
	if at < 0 {
		return
	}
	q := &e.Lines[at]
	if len(q.Old) == 0 {
		q.Old = make([]byte, (protocol.MaxLine+7)/8)
	}
	q.Old[place/8] |= 1 << (place % 8)
}

// superseded are the places of those whose messages are.
func supersededIn(q protocol.QueuedLine) (places []int) {
	for place := range 8 * len(q.Old) {
		if q.Old[place/8]&(1<<(place%8)) != 0 {
			places = append(places, place)
		}
	}
	return places
}

// live is about how many of q will need a turn.
func remaining(q protocol.QueuedLine) int { return max(1, q.Waiting-len(supersededIn(q))) }

// shortKey stands for an entity and type, in few bytes.
func shortKey(key string) string {
	hash := sha256.Sum256([]byte(key))
	return base64.RawURLEncoding.EncodeToString(hash[:12])
}
