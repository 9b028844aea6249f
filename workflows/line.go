package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// Line waits in line for an endpoint's call, for up to [MaxLine] deliveries at the
// price of one execution. No timer runs for its turn: the endpoint knows when that
// has come, and calls one line after another.
//
// A request to cancel it, as the engine's Web UI sends, is not heeded: its
// deliveries are cancelled one by one.
func Line(ctx workflow.Context, in LineInput) (*LineResult, error) {
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
			heard(ctx) // it may have been called again
			_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
			return nil, workflow.NewContinueAsNewError(ctx, LineName, l.LineInput)
		}
	}
	return l.end(ctx), nil
}

// fate is what became of a waiter.
type fate int

const (
	waits fate = iota
	isDelivered
	isCancelled
	hasLeft // for an execution of its own
)

// line is the state of a Line execution.
type line struct {
	LineInput

	fates    []fate
	unwanted []bool              // to be cancelled, once it is known whether they were sent
	stop     workflow.CancelFunc // of what is being sent: nil where nothing is
	changed  bool                // since the memo was written
	failed   []activities.LeftParcel
}

// rejoinAfter is how often a line tells its endpoint that it is there, for the
// case that this was forgotten.
const rejoinAfter = 10 * time.Minute

func newLine(in LineInput) *line {
	l := &line{LineInput: in, fates: make([]fate, len(in.Waiters)), unwanted: make([]bool, len(in.Waiters))}
	if l.Done.Delivered == nil {
		l.Done.Delivered = map[int]postdate.Attempt{}
	}
	if l.Done.Cancelled == nil {
		l.Done.Cancelled = map[int]string{}
	}
	if l.Done.CancelledAt == nil {
		l.Done.CancelledAt = map[int]time.Time{}
	}
	for place := range l.fates {
		if _, done := l.Done.Delivered[place]; done {
			l.fates[place] = isDelivered
		}
		if _, done := l.Done.Cancelled[place]; done {
			l.fates[place] = isCancelled
		}
	}
	for _, place := range l.Left {
		l.fates[place] = hasLeft
	}
	return l
}

// waiting is how many wait.
func (l *line) waiting() (n int) {
	for _, fate := range l.fates {
		if fate == waits {
			n++
		}
	}
	return n
}

// up is l as its endpoint knows it.
func (l *line) up() activities.LineUp {
	up := activities.LineUp{Tenant: l.Tenant, Endpoint: l.Endpoint, ID: l.ID, Waiting: l.waiting(), Since: l.Since}
	for place, w := range l.Waiters {
		if l.fates[place] == waits && !w.ExpiresAt.IsZero() && (up.ExpiresAt.IsZero() || w.ExpiresAt.Before(up.ExpiresAt)) {
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
	_ = insist(ctx, activities.JoinLineName, l.up(), nil) // it is told again after a while
}

// wait waits for the call, or until nobody waits any more.
func (l *line) wait(ctx workflow.Context) {
	for l.Call == nil && l.waiting() > 0 {
		_, _ = workflow.AwaitWithTimeout(ctx, rejoinAfter, func() bool { return l.Call != nil || l.changed })
		if l.changed {
			l.write(ctx, postdate.Waiting)
		}
		if l.Call == nil && l.waiting() > 0 {
			l.join(ctx)
		}
	}
}

// send makes the attempts of those whose turns come.
func (l *line) send(ctx workflow.Context) {
	if l.Call == nil {
		return
	}
	l.supersede(ctx, l.Call.Superseded)
	l.Call = nil
	if l.waiting() == 0 {
		return
	}
	l.write(ctx, postdate.Sending)
	shipments := activities.LineShipments{
		Tenant: l.Tenant, Endpoint: l.Endpoint, Waiters: make([]activities.Waiter, len(l.Waiters)), Again: l.Lost,
	}
	for place, w := range l.Waiters {
		if l.fates[place] == waits {
			shipments.Waiters[place] = w
		}
	}
	stoppable, stop := workflow.WithCancel(ctx)
	l.stop = stop
	var made activities.LineProgress
	sending := workflow.ExecuteActivity(workflow.WithActivityOptions(stoppable, workflow.ActivityOptions{
		StartToCloseTimeout: activities.LinePatience + postdate.MaxTimeout + grace,
		HeartbeatTimeout:    grace,
		WaitForCancellation: true, // what is under way comes to something
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}), activities.SendLineName, shipments)
	if err := sending.Get(ctx, &made); err == nil {
		l.judge(ctx, made)
	} else { // all wait on
		l.Lost = l.Lost || !temporal.IsCanceledError(err)
	}
	l.stop = nil
	for place, unwanted := range l.unwanted {
		if unwanted && l.fates[place] == waits {
			l.cancel(ctx, place, byWish)
		}
	}
}

// judge decides what follows from what was made.
func (l *line) judge(ctx workflow.Context, progress activities.LineProgress) {
	for place := range l.Waiters {
		made, ok := progress.Made[place]
		switch {
		case !ok || l.fates[place] != waits:
		case made.Outcome == postdate.Accepted:
			l.fates[place] = isDelivered
			l.Done.Delivered[place] = made
		case made.Outcome == postdate.Deleted:
			_, reason := made.Outcome.End()
			l.cancel(ctx, place, reason)
		case made.Outcome.Made():
			l.failed = append(l.failed, activities.LeftParcel{
				Parcel: activities.Parcel{Event: place, Endpoint: l.Endpoint}, At: l.Waiters[place].At,
				Attempts: postdate.Attempts{}.With(made),
			})
		}
	}
	for _, place := range progress.Told {
		l.fates[place] = hasLeft
		l.Left = append(l.Left, place)
	}
}

const (
	byWish  = "cancelled"
	byNewer = "a newer message took its place"
)

func (l *line) cancel(ctx workflow.Context, place int, why string) {
	l.fates[place] = isCancelled
	l.Done.Cancelled[place], l.Done.CancelledAt[place] = why, workflow.Now(ctx)
	l.changed = true
}

// supersede gives up those whose place newer messages have taken.
func (l *line) supersede(ctx workflow.Context, places []int) {
	told := activities.Superseded{Tenant: l.Tenant}
	for _, place := range places {
		switch {
		case place >= len(l.fates) || l.fates[place] != waits:
		case l.Waiters[place].Message != nil:
			l.cancel(ctx, place, byNewer)
		default:
			told.IDs = append(told.IDs, l.Waiters[place].DeliveryID)
			l.fates[place] = hasLeft
			l.Left = append(l.Left, place)
		}
	}
	if len(told.IDs) > 0 {
		_ = insist(ctx, activities.SupersedeName, told, nil) // the engine tries until it is done
	}
}

// handOver gives what failed, and was neither handed over at once nor cancelled
// meanwhile, a Deliver of its own; the engine tries that until it is done.
func (l *line) handOver(ctx workflow.Context) error {
	l.failed = slices.DeleteFunc(l.failed, func(failed activities.LeftParcel) bool { return l.fates[failed.Event] != waits })
	if len(l.failed) == 0 {
		return nil
	}
	handing := activities.HandOverInput{Messages: make([]postdate.Message, len(l.Waiters)), Parcels: l.failed, At: l.Since}
	for _, failed := range l.failed {
		handing.Messages[failed.Event] = *l.Waiters[failed.Event].Message
	}
	if err := handOver(ctx, handing); err != nil {
		return err
	}
	for _, failed := range l.failed {
		l.fates[failed.Event] = hasLeft
		l.Left = append(l.Left, failed.Event)
	}
	l.failed = nil
	return nil
}

// leave tells the endpoint how many still wait.
func (l *line) leave(ctx workflow.Context) {
	_ = insist(ctx, activities.LeaveLineName, l.up(), nil) // without it, it is called again after a while
	switch {
	case l.waiting() == 0:
	case len(l.Done.Delivered) > 0:
		l.write(ctx, postdate.Sending) // some are over: who lists it looks into it
	default:
		l.write(ctx, postdate.Waiting)
	}
}

// write has lists tell of l as it is.
func (l *line) write(ctx workflow.Context, state postdate.State) {
	l.changed = false
	setState(ctx, state)
	_ = workflow.UpsertMemo(ctx, map[string]any{MemoGroup: l.Group()})
}

// end closes the execution.
func (l *line) end(ctx workflow.Context) *LineResult {
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	if len(l.Done.Cancelled) > 0 {
		l.write(ctx, postdate.Cancelled)
	} else {
		l.write(ctx, "")
	}
	return &l.Done
}
