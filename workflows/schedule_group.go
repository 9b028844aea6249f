package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// ScheduleGroup sends schedules that their callers did not name, and that are due within
// the same second. It is started with a delay until the first of them is due, and makes all
// first attempts in parallel, each when it is due. What does not succeed at once continues
// as a Deliver of its own, and so does what is rescheduled or fired before.
//
// It ignores a request to cancel it, as Temporal's Web UI sends: its schedules are
// cancelled one by one.
func ScheduleGroup(ctx workflow.Context, in protocol.ScheduleGroupInput) (*protocol.ScheduleGroupEnded, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	g := newScheduleGroup(in)
	if err := g.listen(ctx); err != nil {
		return nil, err
	}

	// Wait. What was requested meanwhile is recorded, and the group sleeps on as a new run.
	for !g.isDue(ctx) {
		g.burst = nil
		if g.wait(ctx) {
			return nil, g.continueAsNew(ctx)
		}
		if err := g.leave(ctx); err != nil {
			return nil, err
		}
	}

	// Honour what was requested together with this task: nothing was sent yet.
	drainSignals(ctx)
	if err := g.leave(ctx); err != nil {
		return nil, err
	}

	// Try.
	g.send(ctx)

	// Hand over what was not accepted at once.
	if err := g.handOver(ctx); err != nil {
		return nil, err
	}
	return g.end(ctx)
}

// groupedState is where a schedule in a group stands.
type groupedState int

const (
	groupedPending   groupedState = iota
	groupedLeaving                // it was rescheduled or fired, and leaves for an execution of its own
	groupedSending                // its attempt is under way, or it leaves after that
	groupedDelivered              // accepted at the first attempt
	groupedCancelled
	groupedMoved // it has an execution of its own
)

// scheduleGroup is the state of a ScheduleGroup execution.
type scheduleGroup struct {
	protocol.ScheduleGroupInput

	states    []groupedState
	requested []protocol.LeavingDelivery // to leave before they are due
	failed    []protocol.LeavingDelivery // to leave after their attempts
	changed   bool                       // something has changed since the memo was written
	woken     bool                       // something was requested
	touched   bool                       // something was requested in this run
	whole     bool                       // all of them were cancelled, by one request
	restart   bool                       // all were put off: the next run is started with that
	exposed   bool                       // a timer may fire during the attempts
	slow      bool                       // the attempts took long, and are not recorded yet
	burst     *protocol.BurstStart       // nil where something else has woken the group
}

// requestLinger is how long a group that was woken by a request stays awake for others:
// they often come together, and each new run costs as much as a start.
const requestLinger = time.Second

func newScheduleGroup(in protocol.ScheduleGroupInput) *scheduleGroup {
	g := &scheduleGroup{ScheduleGroupInput: in, states: make([]groupedState, len(in.Entries)), burst: in.Burst}
	g.Burst = nil // it is about this run alone
	if g.Result.Delivered == nil {
		g.Result.Delivered = map[int]postdate.Attempt{}
	}
	if g.Result.Cancelled == nil {
		g.Result.Cancelled = map[int]time.Time{}
	}
	for place := range g.states {
		if _, cancelled := g.Result.Cancelled[place]; cancelled {
			g.states[place] = groupedCancelled
		}
	}
	for _, place := range g.Moved {
		g.states[place] = groupedMoved
	}
	return g
}

// pending are the places of the schedules that wait, in order.
func (g *scheduleGroup) pending() []int {
	var places []int
	for place, is := range g.states {
		if is == groupedPending {
			places = append(places, place)
		}
	}
	return places
}

// early is how long it is until the first of the schedules that wait is due.
func (g *scheduleGroup) early(ctx workflow.Context) time.Duration {
	var early time.Duration
	for n, place := range g.pending() {
		if until := g.Entries[place].Shipment.DueAt.Sub(workflow.Now(ctx)); n == 0 || until < early {
			early = until
		}
	}
	return early
}

// isDue reports whether a schedule is due, or none waits any more.
func (g *scheduleGroup) isDue(ctx workflow.Context) bool {
	return len(g.requested) == 0 && g.early(ctx) <= 0
}

// wait sleeps until a schedule is due, or something is requested. It reports whether the
// group is to sleep on as a new run, since something was requested and nothing more is.
func (g *scheduleGroup) wait(ctx workflow.Context) (restart bool) {
	early := g.early(ctx)
	wait := early
	if g.touched {
		wait = min(wait, requestLinger)
	}
	if len(g.requested) > 0 {
		return false
	}
	if g.restart {
		return g.isQuiet(ctx)
	}
	woken, _ := workflow.AwaitWithTimeout(ctx, wait, func() bool { return g.woken }) // fails only if ctx is cancelled
	if !woken && g.touched && wait < early {
		if g.isQuiet(ctx) {
			return true
		}
		woken = true
	}
	g.touched, g.exposed = g.touched || woken, g.exposed || woken
	g.woken = false
	return false
}

// isQuiet reports whether nothing more is requested: handlers that run with this task, or
// still do, may request something.
func (g *scheduleGroup) isQuiet(ctx workflow.Context) bool {
	g.woken = false
	drainSignals(ctx)
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) || g.woken })
	return !g.woken
}

// continueAsNew has the group sleep on, as a new run, until the first schedule is due.
func (g *scheduleGroup) continueAsNew(ctx workflow.Context) error {
	return workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
		BackoffStartInterval: min(max(0, g.early(ctx))+g.WakeLate(), postdate.MaxDelay),
	}, protocol.ScheduleGroupWorkflow, g.ScheduleGroupInput)
}

// leave starts a Deliver for each schedule that was rescheduled or fired. That it is to
// leave is recorded before: a request that is lost with its worker leaves nothing behind.
func (g *scheduleGroup) leave(ctx workflow.Context) error {
	for len(g.requested) > 0 {
		leaving := g.requested
		g.requested = nil
		if err := g.startDeliveries(ctx, leaving); err != nil {
			return err
		}
	}
	return nil
}

// send makes the first attempts, in one activity: a local one, for which nothing is
// recorded but its result, as long as nothing can arrive meanwhile. Where that activity is
// lost as a whole, a Deliver makes the first attempt at each schedule.
func (g *scheduleGroup) send(ctx workflow.Context) {
	places := g.pending()
	if len(places) == 0 {
		return
	}
	group := protocol.GroupInput{Messages: make([]postdate.Message, len(g.Entries))}
	last := workflow.Now(ctx)
	for _, place := range places {
		g.states[place] = groupedSending
		shipment := g.Entries[place].Shipment
		group.Messages[place] = shipment.Message
		group.Items = append(group.Items, g.Item(place))
		if shipment.DueAt.After(last) {
			last = shipment.DueAt
		}
	}
	inPlace := last.Sub(workflow.Now(ctx)) // some wait in place until they are due
	timeout := inPlace + postdate.MaxTimeout + activityGrace
	once := &temporal.RetryPolicy{MaximumAttempts: 1}
	attempts := make([]protocol.GroupAttempt, len(places))
	var sending workflow.Future
	if g.exposed {
		sending = workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: timeout, HeartbeatTimeout: protocol.HeartbeatTimeout, RetryPolicy: once,
		}), protocol.SendGroupActivity, group)
	} else {
		g.slow, group.Burst = inPlace >= slowAttempt, g.burst
		sending = workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
			StartToCloseTimeout: timeout, RetryPolicy: once,
		}), protocol.SendGroupActivity, group)
	}
	var results []protocol.GroupAttempt
	if err := sending.Get(ctx, &results); err == nil {
		copy(attempts, results)
	}
	for n, place := range places {
		g.evaluate(place, attempts[n].Attempt)
	}
}

// evaluate decides what follows from the attempt at the schedule at a place.
func (g *scheduleGroup) evaluate(place int, attempt postdate.Attempt) {
	g.slow = g.slow || !g.exposed && isSlow(attempt)
	if attempt.Outcome == postdate.Accepted {
		attempt.Number = 1
		g.states[place] = groupedDelivered
		g.Result.Delivered[place] = attempt
		return
	}
	leaving := protocol.LeavingDelivery{Input: g.DeliverInput(place), Accepted: g.Accepted(place)}
	if protocol.Attempted(attempt.Outcome) {
		leaving.Input.Attempts, leaving.Input.Handed = postdate.Attempts{}.Append(attempt), true
	}
	g.failed = append(g.failed, leaving)
}

// handOver starts a Deliver for each schedule that was not accepted at its first attempt.
func (g *scheduleGroup) handOver(ctx workflow.Context) error {
	if len(g.failed) == 0 {
		return nil
	}
	g.slow = false // the attempts are recorded with the activity
	return g.startDeliveries(ctx, g.failed)
}

// startDeliveries starts a Deliver for each schedule that leaves. Temporal retries it until
// that is done.
func (g *scheduleGroup) startDeliveries(ctx workflow.Context, leaving []protocol.LeavingDelivery) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	for part := range slices.Chunk(leaving, maxLeaving) {
		if err := workflow.ExecuteActivity(ctx, protocol.StartDeliveriesActivity, protocol.StartDeliveriesInput{Deliveries: part}).Get(ctx, nil); err != nil {
			return err
		}
		for _, delivery := range part {
			_, place, _ := postdate.SplitGroupedScheduleID(delivery.Input.Shipment.Message.ID)
			g.states[place] = groupedMoved
			g.Moved = append(g.Moved, place)
		}
		g.changed = true
		g.show(ctx)
	}
	return nil
}

// maxLeaving bounds the schedules that leave in one activity, so that its input, with the
// responses of the attempts, stays below Temporal's limit of 2 MB.
const maxLeaving = 50

// show updates what lists read, where it has changed.
func (g *scheduleGroup) show(ctx workflow.Context) {
	if !g.changed {
		return
	}
	g.changed = false
	_ = workflow.UpsertMemo(ctx, g.Memo()) // fails only for what cannot be encoded
}

// end closes the execution, as cancelled where that is what became of all of its schedules.
func (g *scheduleGroup) end(ctx workflow.Context) (*protocol.ScheduleGroupEnded, error) {
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	if g.slow {
		settle(ctx)
	}
	if g.whole {
		return nil, temporal.NewCanceledError()
	}
	return &g.Result, nil
}
