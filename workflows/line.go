package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Line waits for permits of an endpoint, for up to [protocol.MaxLine] deliveries in one
// execution. It sets no timer for that: the endpoint's execution knows when there are
// permits, and wakes one line after another.
//
// It ignores a request to cancel it, as Temporal's Web UI sends: its deliveries are
// cancelled one by one.
func Line(ctx workflow.Context, in protocol.LineInput) (*protocol.LineResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	l := newLine(in)
	if err := l.listen(ctx); err != nil {
		return nil, err
	}
	if l.Pull {
		return l.serve(ctx)
	}

	l.join(ctx)
	for l.waiting() > 0 {
		// Wait until the endpoint wakes the line.
		l.wait(ctx)

		// Send, one after another, as permits come.
		l.send(ctx)

		// Hand over what was not accepted at once.
		if err := l.handOver(ctx); err != nil {
			return nil, err
		}

		// Leave: what no permit came for is first in the queue again.
		l.leave(ctx)
		l.leaveCanary(ctx)
		if l.waiting() > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			drainSignals(ctx) // it may have been woken again
			_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
			return nil, workflow.NewContinueAsNewError(ctx, protocol.LineWorkflow, l.LineInput)
		}
	}
	return l.end(ctx), nil
}

// entryState is what became of an entry.
type entryState int

const (
	pending entryState = iota
	delivered
	cancelled
	moved // to an execution of its own
)

// line is the state of a Line execution.
type line struct {
	protocol.LineInput

	states          []entryState
	cancelRequested []bool              // cancelled as soon as it is known that they were not sent
	stop            workflow.CancelFunc // stops SendLine: nil where that is not under way
	runs            int                 // of SendLine
	stopped         bool                // SendLine begins no further attempts than those at begun
	begun           []int
	changed         bool // something has changed since the memo was written
	noCanary        bool // the canary takes nothing any more
	failed          []protocol.Undelivered

	pulls // of a line whose endpoint is pulled from
}

// rejoinAfter is how often a waiting line joins its endpoint's queue again, in case it
// was forgotten there.
const rejoinAfter = 10 * time.Minute

func newLine(in protocol.LineInput) *line {
	l := &line{LineInput: in, states: make([]entryState, len(in.Entries)), cancelRequested: make([]bool, len(in.Entries))}
	if l.Result.Delivered == nil {
		l.Result.Delivered = map[int]postdate.Attempt{}
	}
	if l.Result.Cancelled == nil {
		l.Result.Cancelled = map[int]string{}
	}
	if l.Result.CancelledAt == nil {
		l.Result.CancelledAt = map[int]time.Time{}
	}
	for place := range l.states {
		if _, done := l.Result.Delivered[place]; done {
			l.states[place] = delivered
		}
		if _, done := l.Result.Cancelled[place]; done {
			l.states[place] = cancelled
		}
	}
	for _, place := range l.Moved {
		l.states[place] = moved
	}
	if l.Pull {
		l.Version++ // what an earlier run has reported is older
	}
	return l
}

// waiting is how many entries wait.
func (l *line) waiting() (n int) {
	for _, state := range l.states {
		if state == pending {
			n++
		}
	}
	return n
}

// status is l as its endpoint knows it.
func (l *line) status() protocol.LineStatus {
	status := protocol.LineStatus{Tenant: l.Tenant, Endpoint: l.Endpoint, Canary: l.Canary, ID: l.ID, Waiting: l.waiting(), Since: l.Since}
	for place, entry := range l.Entries {
		if l.states[place] == pending && !entry.ExpiresAt.IsZero() && (status.ExpiresAt.IsZero() || entry.ExpiresAt.Before(status.ExpiresAt)) {
			status.ExpiresAt = entry.ExpiresAt
		}
		if l.Coalesce {
			status.Keys = append(status.Keys, entry.Key)
		}
		switch {
		case !l.Pull:
		case l.isOpen(place):
			status.Open = status.Open.Add(place)
		case l.isLeased(place):
			status.Leased++
		}
	}
	status.Version = l.Version
	return status
}

// join adds l to its endpoint's queue.
func (l *line) join(ctx workflow.Context) {
	_ = runDurably(ctx, protocol.JoinLineActivity, l.status(), nil) // it joins again after a while
}

// wait waits until the endpoint wakes l, or until no entry waits any more.
func (l *line) wait(ctx workflow.Context) {
	for l.Wake == nil && l.waiting() > 0 {
		_, _ = workflow.AwaitWithTimeout(ctx, rejoinAfter, func() bool { return l.Wake != nil || l.changed })
		if l.changed {
			l.show(ctx, postdate.Waiting)
		}
		if l.Wake == nil && l.waiting() > 0 {
			l.join(ctx)
		}
	}
}

// send makes attempts as permits come.
func (l *line) send(ctx workflow.Context) {
	if l.Wake == nil {
		return
	}
	l.supersede(ctx, l.Wake.Superseded)
	l.Wake = nil
	if l.waiting() == 0 {
		return
	}
	l.show(ctx, postdate.Sending)
	l.runs, l.stopped, l.begun = l.runs+1, false, nil
	input := protocol.SendLineInput{
		Tenant: l.Tenant, Endpoint: l.Endpoint, Canary: l.Canary, Entries: make([]protocol.QueueEntry, len(l.Entries)), Again: l.Lost, Run: l.runs,
	}
	for place, entry := range l.Entries {
		if l.states[place] == pending {
			input.Entries[place] = entry
		}
	}
	stoppable, stop := workflow.WithCancel(ctx)
	l.stop = stop
	var progress protocol.LineProgress
	sending := workflow.ExecuteActivity(workflow.WithActivityOptions(stoppable, workflow.ActivityOptions{
		StartToCloseTimeout: protocol.LineMaxWait + postdate.MaxTimeout + activityGrace,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		WaitForCancellation: true, // attempts that are under way count
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}), protocol.SendLineActivity, input)
	if err := sending.Get(ctx, &progress); err == nil {
		l.evaluate(ctx, progress)
		l.noCanary = progress.NoCanary
	} else { // all still wait
		l.Lost = l.Lost || !temporal.IsCanceledError(err)
	}
	l.stop = nil
	l.cancelRequests(ctx)
}

// cancelRequests cancels what was requested to be, as far as it cannot have been sent.
func (l *line) cancelRequests(ctx workflow.Context) {
	for place, requested := range l.cancelRequested {
		if requested && l.states[place] == pending && !l.mayBeSent(place) {
			l.cancel(ctx, place, byRequest)
		}
	}
	if l.changed && l.stop != nil { // attempts at others may take long
		l.show(ctx, postdate.Sending)
	}
}

// mayBeSent reports whether SendLine has begun something at the entry at place, or may yet.
func (l *line) mayBeSent(place int) bool {
	return l.stop != nil && (!l.stopped || slices.Contains(l.begun, place)) || l.failing[place]
}

// evaluate decides what follows from the attempts that were made.
func (l *line) evaluate(ctx workflow.Context, progress protocol.LineProgress) {
	for place := range l.Entries {
		attempt, ok := progress.Made[place]
		switch {
		case !ok || l.states[place] != pending:
		case attempt.Outcome == postdate.Accepted:
			l.states[place] = delivered
			l.Result.Delivered[place] = attempt
		case attempt.Outcome == protocol.EndpointDeleted:
			_, reason := protocol.End(attempt.Outcome)
			l.cancel(ctx, place, reason)
		case protocol.Attempted(attempt.Outcome):
			l.failed = append(l.failed, protocol.Undelivered{
				GroupItem: protocol.GroupItem{Event: place, Endpoint: l.Endpoint, Terms: l.Entries[place].Terms}, At: l.Entries[place].At,
				Attempts: postdate.Attempts{}.Append(attempt),
			})
		}
	}
	for _, place := range progress.Moved {
		l.states[place] = moved
		l.Moved = append(l.Moved, place)
	}
}

const (
	byRequest      = "cancelled"
	byNewerMessage = "a newer message took its place"
)

// cancel cancels the entry at place.
func (l *line) cancel(ctx workflow.Context, place int, reason string) {
	l.states[place] = cancelled
	l.Result.Cancelled[place], l.Result.CancelledAt[place] = reason, workflow.Now(ctx)
	l.changed = true
	if l.Pull {
		l.endLease(place, postdate.LeaseCancelled)
		l.touch(ctx)
		l.interrupt = true // lists are to show it
	}
}

// supersede cancels the entries at these places, which newer messages replace.
func (l *line) supersede(ctx workflow.Context, places []int) {
	input := protocol.SupersedeInput{Tenant: l.Tenant}
	for _, place := range places {
		switch {
		case place >= len(l.states) || l.states[place] != pending:
		case l.Entries[place].Message != nil:
			l.cancel(ctx, place, byNewerMessage)
		default:
			input.IDs = append(input.IDs, l.Entries[place].DeliveryID)
			l.states[place] = moved
			l.Moved = append(l.Moved, place)
		}
	}
	if len(input.IDs) > 0 {
		_ = runDurably(ctx, protocol.SupersedeActivity, input, nil) // Temporal retries it until it is done
	}
}

// handOver starts a Deliver for each delivery that failed, unless SendLine has done so
// or it was cancelled. Temporal retries it until that is done.
func (l *line) handOver(ctx workflow.Context) error {
	l.failed = slices.DeleteFunc(l.failed, func(failed protocol.Undelivered) bool { return l.states[failed.Event] != pending })
	if len(l.failed) == 0 {
		return nil
	}
	input := protocol.HandOverInput{Messages: make([]postdate.Message, len(l.Entries)), Items: l.failed, At: l.Since}
	for _, failed := range l.failed {
		input.Messages[failed.Event] = *l.Entries[failed.Event].Message
	}
	if err := handOver(ctx, input); err != nil {
		return err
	}
	for _, failed := range l.failed {
		l.states[failed.Event] = moved
		l.Moved = append(l.Moved, failed.Event)
	}
	l.failed = nil
	return nil
}

// leaveCanary has l wait for the primary, where its canary takes nothing any more.
func (l *line) leaveCanary(ctx workflow.Context) {
	if !l.noCanary {
		return
	}
	l.noCanary, l.Canary = false, ""
	if l.waiting() > 0 {
		l.join(ctx)
	}
}

// leave reports to the endpoint how many entries still wait: none to a canary that takes
// nothing any more.
func (l *line) leave(ctx workflow.Context) {
	status := l.status()
	if l.noCanary {
		status.Waiting = 0
	}
	_ = runDurably(ctx, protocol.LeaveLineActivity, status, nil) // without it, the line is woken again after a while
	switch {
	case l.waiting() == 0:
	case len(l.Result.Delivered) > 0:
		l.show(ctx, postdate.Sending) // some have ended: a list reads the line itself
	default:
		l.show(ctx, postdate.Waiting)
	}
}

// show updates the search attribute and the memo, which lists read.
func (l *line) show(ctx workflow.Context, state postdate.State) {
	l.changed = false
	setState(ctx, state)
	_ = workflow.UpsertMemo(ctx, map[string]any{protocol.MemoGroup: l.Group()})
}

// end closes the execution.
func (l *line) end(ctx workflow.Context) *protocol.LineResult {
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	if len(l.Result.Cancelled) > 0 {
		l.show(ctx, postdate.Cancelled)
	} else {
		l.show(ctx, "")
	}
	return &l.Result
}
