package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

const (
	// maxLines bounds the lines that are remembered: all of them go into the next run as
	// one value, together with the keys of maxKeys, and the engine's limit for a value is
	// 2 MB. A line that is not remembered joins again after a while.
	maxLines = 10_000
	// At least minWoken lines are woken at once, and so many that they hold twice what may
	// be in flight, so that the next one starts when one ends; but they hold no more than
	// maxWoken deliveries.
	minWoken = 2
	maxWoken = 300
	// wakeTimeout is after how long a woken line that did not report is woken again: a
	// line sends for a minute.
	wakeTimeout = 3 * time.Minute
	// restTime is how long a line rests that was woken in vain.
	restTime = time.Second
	// maxWokenAtDeletion is how many lines are woken at once when their endpoint is deleted.
	maxWokenAtDeletion = 100
)

// join answers [protocol.UpdateJoin].
func (e *endpoint) join(ctx workflow.Context, status protocol.LineStatus) error {
	if status.Waiting > 0 {
		e.upsert(status, workflow.Now(ctx), false)
	}
	e.markBusy(ctx)
	e.apply(ctx, nil)
	return nil
}

// leave answers [protocol.UpdateLeave].
func (e *endpoint) leave(ctx workflow.Context, status protocol.LineStatus) error {
	if status.Waiting > 0 {
		e.upsert(status, workflow.Now(ctx), true)
	} else {
		e.remove(status.ID)
	}
	e.markBusy(ctx)
	e.apply(ctx, nil)
	return nil
}

// upsert adds a line in its place, or moves it there.
func (e *endpoint) upsert(status protocol.LineStatus, now time.Time, left bool) {
	if status.Version > 0 {
		e.report(status)
		return
	}
	next := queuedLine(status)
	before, known := e.queue.byID[status.ID]
	if !known {
		if e.queue.len() < maxLines {
			e.coalesce(e.queue.insert(next), status.Keys)
		}
		return
	}
	next.Old = before.Old
	if !left && now.Sub(time.UnixMilli(before.Called)) < time.Minute {
		next.Called = before.Called // it joined before, and was woken since
	}
	if left && before.Waiting == status.Waiting {
		next.Rest = now.Add(restTime).UnixMilli()
	}
	e.queue.remove(before)
	line := e.queue.insert(next)
	line.keys = before.keys
	e.queue.restore(line)
	e.coalesce(line, status.Keys)
}

// queuedLine is a line as it reports itself.
func queuedLine(status protocol.LineStatus) protocol.QueuedLine {
	line := protocol.QueuedLine{
		ID: status.ID, Waiting: status.Waiting, Since: status.Since.UnixMilli(),
		Version: status.Version, Open: status.Open, Leased: status.Leased,
	}
	if !status.ExpiresAt.IsZero() {
		line.Expires = status.ExpiresAt.UnixMilli()
	}
	return line
}

// remove forgets a line, and which messages were the latest of their keys in it.
func (e *endpoint) remove(id string) {
	if line, ok := e.queue.byID[id]; ok {
		e.forgetKeys(line)
		e.queue.remove(line)
	}
}

// toWake returns the lines that are to be woken now.
func (e *endpoint) toWake(t throttle.Throttle, now time.Time) (ids []string) {
	if e.deleted() { // each delivery finds out by itself
		return e.firstIDs(maxWokenAtDeletion)
	}
	pace := e.pace(t, now)
	if pace.InFlight == 0 || e.Settings.Pull {
		return nil
	}
	state, _ := t.BreakerState(now)
	probing := state == postdate.BreakerHalfOpen
	lines, deliveries := len(e.queue.woken), e.queue.wokenWaiting
	for line := range e.queue.all() {
		if lines >= minWoken && deliveries >= 2*pace.InFlight || probing && lines > 0 {
			return ids
		}
		if line.Called > 0 || line.Rest > 0 {
			continue
		}
		if lines > 0 && deliveries+line.counted > maxWoken {
			return ids
		}
		ids = append(ids, line.ID)
		lines++
		deliveries += line.counted
	}
	return ids
}

func (e *endpoint) firstIDs(n int) (ids []string) {
	for line := range e.queue.all() {
		if len(ids) == n {
			break
		}
		ids = append(ids, line.ID)
	}
	return ids
}

// wakeLine signals a line that its deliveries may be sent. A line whose execution is gone
// is removed.
func (e *endpoint) wakeLine(id string, now time.Time) {
	var wake protocol.Wake
	if line, ok := e.queue.byID[id]; ok {
		e.queue.wake(line, now)
		wake.Superseded = supersededIn(line.QueuedLine)
	}
	if e.deleted() {
		e.remove(id)
	}
	e.waking++
	endpoint, _ := postdate.SplitCanaryKey(e.ID)
	signal := workflow.SignalExternalWorkflow(e.ctx, protocol.LineID(e.Tenant, endpoint, id), "", protocol.SignalCall, wake)
	workflow.Go(e.ctx, func(ctx workflow.Context) {
		err := signal.Get(ctx, nil)
		e.waking--
		if err != nil {
			e.remove(id)
			e.apply(ctx, nil) // wakes the next line instead
		}
	})
}

// supersededIn lists the places in l whose messages are superseded.
func supersededIn(l protocol.QueuedLine) (places []int) {
	for place := range 8 * len(l.Old) {
		if l.Old.Has(place) {
			places = append(places, place)
		}
	}
	return slices.Clip(places)
}
