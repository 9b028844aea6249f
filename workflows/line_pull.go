package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// reportAfter is how long a line that is pulled from leaves it to the processes that take
// from it to report what has changed. They may have died.
const reportAfter = 5 * time.Second

// pulls is what a line knows beyond its input, where its endpoint is pulled from.
type pulls struct {
	wakeAt    time.Time // when it looks at itself, if nothing interrupts it
	interrupt bool      // it is to look at itself now
	// changedAt is when something changed that it has not reported, and reported the
	// version that it has.
	changedAt time.Time
	reported  int64
	shown     bool // that something in it is leased
	// nacked are the entries that consumers did not accept, failing those that leave for
	// executions of their own just now, and superseded the deliveries of which newer
	// messages are known.
	nacked     []protocol.Undelivered
	failing    map[int]bool
	superseded []string
}

// serve has consumers take the entries. A lease is recorded here before a consumer gets
// its message, so that it outlives every process; what is not acknowledged within it has
// failed, and continues as a delivery of its own.
func (l *line) serve(ctx workflow.Context) (*protocol.LineResult, error) {
	l.join(ctx)
	l.reported = l.Version
	for l.waiting() > 0 {
		// Wait until a lease or an entry expires, or a consumer or the endpoint wants
		// something that is not done in an Update.
		l.await(ctx)

		// The endpoint was deleted: nothing waits any more.
		l.endWithEndpoint(ctx)

		// End what has expired, and hand over what has failed.
		l.endLeases(ctx)
		l.expire(ctx)
		if err := l.handOverFailed(ctx); err != nil {
			return nil, err
		}

		// Report, unless the processes that take from the line have.
		l.report(ctx)
		if l.waiting() > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			drainSignals(ctx)
			_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
			if len(l.nacked) == 0 && len(l.superseded) == 0 {
				return nil, workflow.NewContinueAsNewError(ctx, protocol.LineWorkflow, l.LineInput)
			}
		}
	}
	_ = runDurably(ctx, protocol.LeaveLineActivity, l.status(), nil)
	return l.end(ctx), nil
}

// await waits until there is something to do.
func (l *line) await(ctx workflow.Context) {
	l.interrupt = false
	now := workflow.Now(ctx)
	l.wakeAt = l.nextWake(now)
	_, _ = workflow.AwaitWithTimeout(ctx, max(0, l.wakeAt.Sub(now)), func() bool {
		return l.interrupt || l.Wake != nil || l.waiting() == 0
	})
}

// nextWake is when the first lease or entry expires, or a report is due.
func (l *line) nextWake(now time.Time) time.Time {
	wake := now.Add(rejoinAfter)
	sooner := func(at time.Time) {
		if at.Before(wake) {
			wake = at
		}
	}
	for place, entry := range l.Entries {
		switch {
		case l.isLeased(place):
			sooner(l.Leases[place].Until)
		case l.isOpen(place) && entry.Message != nil && !entry.ExpiresAt.IsZero():
			sooner(entry.ExpiresAt)
		}
	}
	if l.Version != l.reported {
		sooner(l.changedAt.Add(reportAfter))
	}
	return wake
}

// isLeased reports whether a consumer has the entry at place, and isOpen whether one can.
func (l *line) isLeased(place int) bool {
	lease, ok := l.Leases[place]
	return ok && lease.Ended == "" && l.states[place] == pending
}

func (l *line) isOpen(place int) bool {
	_, leased := l.Leases[place]
	return !leased && l.states[place] == pending
}

// touch notes that what the endpoint knows of the line has changed.
func (l *line) touch(ctx workflow.Context) {
	if l.Version == l.reported {
		l.changedAt = workflow.Now(ctx)
	}
	l.Version++
	l.sooner(l.changedAt.Add(reportAfter))
}

// sooner has the line look at itself at that time, at the latest.
func (l *line) sooner(at time.Time) { l.interrupt = l.interrupt || at.Before(l.wakeAt) }

// setLease enters a lease of the entry at place, or how it ended.
func (l *line) setLease(place int, lease protocol.LineLease) {
	if l.Leases == nil {
		l.Leases = make(map[int]protocol.LineLease)
	}
	l.Leases[place] = lease
}

// endLease enters how the lease of the entry at place ended, if it has one.
func (l *line) endLease(place int, result postdate.SettleResult) {
	if lease, ok := l.Leases[place]; ok && lease.Ended == "" {
		lease.Ended = result
		l.Leases[place] = lease
	}
}

// leased is a lease, of a line's entry or of a Deliver.
type leased protocol.LineLease

// attempt is the attempt that a lease was.
func (lease leased) attempt(now time.Time, outcome postdate.Outcome, why string) postdate.Attempt {
	return postdate.Attempt{
		At: lease.At, DurationMS: now.Sub(lease.At).Milliseconds(), Outcome: outcome, Error: why,
	}
}

// leaseOver says why the attempt failed that ended with its lease.
func leaseOver(lease leased) string {
	return "no consumer acknowledged it within its lease of " + lease.Until.Sub(lease.At).Round(time.Millisecond).String()
}

// notAccepted says why the attempt failed that a consumer did not accept.
func notAccepted(reason string) string {
	if reason == "" {
		return protocol.NackedError
	}
	return protocol.NackedError + ": " + reason
}

// endLeases ends the leases whose time is over.
func (l *line) endLeases(ctx workflow.Context) {
	now := workflow.Now(ctx)
	var returned []workflow.Future
	for place, entry := range l.Entries {
		if !l.isLeased(place) || l.Leases[place].Until.After(now) {
			continue
		}
		lease := leased(l.Leases[place])
		l.endLease(place, postdate.LeaseEnded)
		l.touch(ctx)
		if entry.Message == nil { // its own execution knows whether it was leased
			l.move(place)
			returned = append(returned, l.signalReturned(ctx, place, false))
			continue
		}
		attempt := lease.attempt(now, postdate.Failed, leaseOver(lease))
		l.logEnded(ctx, place, attempt)
		l.nacked = append(l.nacked, l.undelivered(place, attempt))
	}
	for _, signal := range returned {
		_ = signal.Get(ctx, nil) // one that has ended does not need to know
	}
}

// logEnded logs an attempt that ended with its lease: others are logged by the process to
// which the consumer speaks.
func (l *line) logEnded(ctx workflow.Context, place int, attempt postdate.Attempt) {
	m := l.Entries[place].Message
	workflow.GetLogger(ctx).Warn("attempt", "tenant", l.Tenant, "id", m.ID, "type", m.Type, "entity", m.Entity, "attempt", 1,
		"outcome", string(attempt.Outcome), "duration_ms", attempt.DurationMS, "endpoint", l.Endpoint,
		"delivery", l.Entries[place].DeliveryID, "error", attempt.Error)
}

// expire has entries that nobody took in time leave.
func (l *line) expire(ctx workflow.Context) {
	now := workflow.Now(ctx)
	for place, entry := range l.Entries {
		if !l.isOpen(place) || entry.Message == nil || entry.ExpiresAt.IsZero() || entry.ExpiresAt.After(now) {
			continue // one with an execution of its own expires there
		}
		l.setLease(place, protocol.LineLease{Ended: postdate.LeaseEnded})
		l.touch(ctx)
		l.nacked = append(l.nacked, l.undelivered(place))
	}
}

// undelivered is the entry at place, as it leaves with the attempt that was made.
func (l *line) undelivered(place int, attempts ...postdate.Attempt) protocol.Undelivered {
	var log postdate.Attempts
	for _, attempt := range attempts {
		log = log.Append(attempt)
	}
	return protocol.Undelivered{
		GroupItem: protocol.GroupItem{Event: place, Endpoint: l.Endpoint, Terms: l.Entries[place].Terms}, At: l.Entries[place].At,
		Attempts: log,
	}
}

// handOverFailed hands over what has failed. What fails meanwhile is handed over next, and
// is not cancelled here: it has an execution of its own in a moment.
func (l *line) handOverFailed(ctx workflow.Context) error {
	if len(l.superseded) > 0 {
		input := protocol.SupersedeInput{Tenant: l.Tenant, IDs: l.superseded}
		l.superseded = nil
		_ = runDurably(ctx, protocol.SupersedeActivity, input, nil) // Temporal retries it until it is done
	}
	if len(l.nacked) == 0 {
		return nil
	}
	l.failed, l.nacked = l.nacked, nil
	l.failing = make(map[int]bool)
	for _, failed := range l.failed {
		l.failing[failed.Event] = true
	}
	err := l.handOver(ctx)
	l.failing = nil
	l.touch(ctx)
	return err
}

// report reports what has changed, where it is time: the endpoint does not know what was
// handed over, and is to know soon.
func (l *line) report(ctx workflow.Context) {
	if l.waiting() == 0 {
		return
	}
	now := workflow.Now(ctx)
	if l.changed {
		l.showPulled(ctx)
	}
	if l.Version != l.reported && !now.Before(l.changedAt.Add(reportAfter)) || !now.Before(l.wakeAt) {
		reported := l.Version
		l.join(ctx)
		l.reported = reported
		l.changedAt = workflow.Now(ctx)
	}
}

// showPulled updates what lists read. What is leased changes too often for a search
// attribute: from the first lease on, lists read the line itself.
func (l *line) showPulled(ctx workflow.Context) {
	if l.shown {
		l.show(ctx, postdate.Sending)
	} else {
		l.show(ctx, postdate.Waiting)
	}
}

// move notes that the entry at place has an execution of its own.
func (l *line) move(place int) {
	l.states[place] = moved
	l.Moved = append(l.Moved, place)
}

// signalReturned signals to the delivery at place that the line no longer has it.
func (l *line) signalReturned(ctx workflow.Context, place int, deleted bool) workflow.Future {
	return workflow.SignalExternalWorkflow(ctx, protocol.DeliveryID(l.Tenant, l.Entries[place].DeliveryID), "",
		protocol.SignalReturned, protocol.Returned{Line: l.ID, Deleted: deleted})
}

// endWithEndpoint cancels what waits and what is leased, once the endpoint is deleted.
func (l *line) endWithEndpoint(ctx workflow.Context) {
	if l.Wake == nil {
		return
	}
	var returned []workflow.Future
	for place, entry := range l.Entries {
		if l.isLeased(place) && entry.Message == nil {
			l.endLease(place, postdate.LeaseCancelled)
			l.move(place)
			returned = append(returned, l.signalReturned(ctx, place, true))
		}
	}
	for _, signal := range returned {
		_ = signal.Get(ctx, nil) // one that has ended does not need to know
	}
	l.send(ctx) // sends nothing: it finds that the endpoint is deleted
	l.touch(ctx)
	if l.waiting() > 0 { // not every process knows yet
		_ = workflow.Sleep(ctx, time.Second)
		l.join(ctx)
	}
}
