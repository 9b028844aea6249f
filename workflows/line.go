package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Line waits in line for an endpoint's call, for up to [MaxLine] deliveries at the
// price of one execution. No timer runs for its turn: the endpoint knows when that
// has come, and calls one line after another.
//
// A request to cancel it, as the engine's Web UI sends, is not heeded: its
// deliveries are cancelled one by one.
func Line(ctx workflow.Context, in protocol.LineInput) (*protocol.LineResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	l := newLine(in)
	if err := l.listen(ctx); err != nil {
		return nil, err
	}

	l.join(ctx)
	for l.waiting() > 0 {
		// Wait for the endpoint's call.
		l.wait(ctx)

		// Send, one after another, as turns come.
		l.send(ctx)

		// Hand over what was not accepted at once.
		if err := l.handOver(ctx); err != nil {
			return nil, err
		}

		// Leave: what no turn came for is first in line again.
		l.leave(ctx)
		if l.waiting() > 0 && workflow.GetInfo(ctx).GetContinueAsNewSuggested() {
			drainSignals(ctx) // it may have been called again
			_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
			return nil, workflow.NewContinueAsNewError(ctx, protocol.LineWorkflow, l.LineInput)
		}
	}
	return l.end(ctx), nil
}

// entryState is what became of a waiter.
type entryState int

const (
	pending entryState = iota
	delivered
	cancelled
	moved // for an execution of its own
)

// line is the state of a Line execution.
type line struct {
	protocol.LineInput

	states          []entryState
	cancelRequested []bool              // to be cancelled, once it is known whether they were sent
	stop            workflow.CancelFunc // of what is being sent: nil where nothing is
	changed         bool                // since the memo was written
	failed          []protocol.Undelivered
}

// rejoinAfter is how often a line tells its endpoint that it is there, for the
// case that this was forgotten.
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
	return l
}

// waiting is how many wait.
func (l *line) waiting() (n int) {
	for _, fate := range l.states {
		if fate == pending {
			n++
		}
	}
	return n
}

// status is l as its endpoint knows it.
func (l *line) status() protocol.LineStatus {
	up := protocol.LineStatus{Tenant: l.Tenant, Endpoint: l.Endpoint, ID: l.ID, Waiting: l.waiting(), Since: l.Since}
	for place, w := range l.Entries {
		if l.states[place] == pending && !w.ExpiresAt.IsZero() && (up.ExpiresAt.IsZero() || w.ExpiresAt.Before(up.ExpiresAt)) {
			up.ExpiresAt = w.ExpiresAt
		}
		if l.Coalesce {
			up.Keys = append(up.Keys, w.Key)
		}
	}
	return up
}

// join tells the endpoint that l waits for its call.
func (l *line) join(ctx workflow.Context) {
	_ = runDurably(ctx, protocol.JoinLineActivity, l.status(), nil) // it is told again after a while
}

// wait waits for the call, or until nobody waits any more.
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

// send makes the attempts of those whose turns come.
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
	shipments := protocol.SendLineInput{
		Tenant: l.Tenant, Endpoint: l.Endpoint, Entries: make([]protocol.QueueEntry, len(l.Entries)), Again: l.Lost,
	}
	for place, w := range l.Entries {
		if l.states[place] == pending {
			shipments.Entries[place] = w
		}
	}
	stoppable, stop := workflow.WithCancel(ctx)
	l.stop = stop
	var made protocol.LineProgress
	sending := workflow.ExecuteActivity(workflow.WithActivityOptions(stoppable, workflow.ActivityOptions{
		StartToCloseTimeout: protocol.LineMaxWait + postdate.MaxTimeout + activityGrace,
		HeartbeatTimeout:    activityGrace,
		WaitForCancellation: true, // what is under way comes to something
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}), protocol.SendLineActivity, shipments)
	if err := sending.Get(ctx, &made); err == nil {
		l.evaluate(ctx, made)
	} else { // all wait on
		l.Lost = l.Lost || !temporal.IsCanceledError(err)
	}
	l.stop = nil
	for place, unwanted := range l.cancelRequested {
		if unwanted && l.states[place] == pending {
			l.cancel(ctx, place, byRequest)
		}
	}
}

// evaluate decides what follows from what was made.
func (l *line) evaluate(ctx workflow.Context, progress protocol.LineProgress) {
	for place := range l.Entries {
		made, ok := progress.Made[place]
		switch {
		case !ok || l.states[place] != pending:
		case made.Outcome == postdate.Accepted:
			l.states[place] = delivered
			l.Result.Delivered[place] = made
		case made.Outcome == protocol.EndpointDeleted:
			_, reason := protocol.End(made.Outcome)
			l.cancel(ctx, place, reason)
		case protocol.Attempted(made.Outcome):
			l.failed = append(l.failed, protocol.Undelivered{
				GroupItem: protocol.GroupItem{Event: place, Endpoint: l.Endpoint, Terms: l.Entries[place].Terms}, At: l.Entries[place].At,
				Attempts: postdate.Attempts{}.Append(made),
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

func (l *line) cancel(ctx workflow.Context, place int, why string) {
	l.states[place] = cancelled
	l.Result.Cancelled[place], l.Result.CancelledAt[place] = why, workflow.Now(ctx)
	l.changed = true
}

// supersede gives up those whose place newer messages have taken.
func (l *line) supersede(ctx workflow.Context, places []int) {
	told := protocol.SupersedeInput{Tenant: l.Tenant}
	for _, place := range places {
		switch {
		case place >= len(l.states) || l.states[place] != pending:
		case l.Entries[place].Message != nil:
			l.cancel(ctx, place, byNewerMessage)
		default:
			told.IDs = append(told.IDs, l.Entries[place].DeliveryID)
			l.states[place] = moved
			l.Moved = append(l.Moved, place)
		}
	}
	if len(told.IDs) > 0 {
		_ = runDurably(ctx, protocol.SupersedeActivity, told, nil) // the engine tries until it is done
	}
}

// handOver gives what failed, and was neither handed over at once nor cancelled
// meanwhile, a Deliver of its own; the engine tries that until it is done.
func (l *line) handOver(ctx workflow.Context) error {
	l.failed = slices.DeleteFunc(l.failed, func(failed protocol.Undelivered) bool { return l.states[failed.Event] != pending })
	if len(l.failed) == 0 {
		return nil
	}
	handing := protocol.HandOverInput{Messages: make([]postdate.Message, len(l.Entries)), Items: l.failed, At: l.Since}
	for _, failed := range l.failed {
		handing.Messages[failed.Event] = *l.Entries[failed.Event].Message
	}
	if err := handOver(ctx, handing); err != nil {
		return err
	}
	for _, failed := range l.failed {
		l.states[failed.Event] = moved
		l.Moved = append(l.Moved, failed.Event)
	}
	l.failed = nil
	return nil
}

// leave tells the endpoint how many still wait.
func (l *line) leave(ctx workflow.Context) {
	_ = runDurably(ctx, protocol.LeaveLineActivity, l.status(), nil) // without it, it is called again after a while
	switch {
	case l.waiting() == 0:
	case len(l.Result.Delivered) > 0:
		l.show(ctx, postdate.Sending) // some are over: who lists it looks into it
	default:
		l.show(ctx, postdate.Waiting)
	}
}

// show has lists tell of l as it is.
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
