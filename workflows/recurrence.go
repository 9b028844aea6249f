package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Recurrence is a recurring schedule. It sleeps by a start delay until its next tick,
// starts that tick's delivery, and continues as new, asleep until the one after: its
// history does not grow, and the code that runs is the newest. When the next tick is due,
// an activity works out: that depends on the zone database of the day.
func Recurrence(ctx workflow.Context, in protocol.RecurrenceInput) (*protocol.RecurrenceResult, error) {
	r := &recurrence{RecurrenceInput: in, changing: workflow.NewMutex(ctx)}
	ctx, err := r.listen(ctx)
	if err != nil {
		return nil, err
	}

	// Sleep. The start delay did, unless an Update ended it.
	r.sleep(ctx)
	if !r.changed {
		// Advance. What is due is started, and what follows is worked out.
		r.advance(ctx)
	}
	return r.end(ctx)
}

// recurrence is the state of a Recurrence execution.
type recurrence struct {
	protocol.RecurrenceInput
	// changing is held by whoever changes the state over more than one workflow task.
	changing workflow.Mutex
	// changed: the run ends, so that the next one does what follows from an Update.
	changed bool
	// cancelled and ended say how the recurrence ended, and reason why, where that was not
	// its rule.
	cancelled, ended bool
	reason           string
}

// sleep waits until r has something to do, or an Update has changed it. Updates that came
// in the meantime are finished first: no result of theirs may come during an advance.
func (r *recurrence) sleep(ctx workflow.Context) {
	drainSignals(ctx) // the Update that woke it comes first
	if early := r.WakeAt.Sub(workflow.Now(ctx)); early > 0 {
		_, _ = workflow.AwaitWithTimeout(ctx, early, func() bool { return r.changed }) // fails only if ctx is cancelled, which never happens
	}
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
}

// advance has an activity start what is due and work out what follows. A rule that cannot
// be worked out any more, because its holiday calendar or its time zone is gone, pauses:
// to send on a day off would be worse.
func (r *recurrence) advance(ctx workflow.Context) {
	if err := r.changing.Lock(ctx); err != nil {
		return
	}
	defer r.changing.Unlock()
	var advanced protocol.Advanced
	err := runDurably(ctx, protocol.AdvanceActivity, r.RecurrenceInput, &advanced)
	if err != nil {
		r.pauseFor(ctx, err)
		return
	}
	wasPaused := r.Pause != nil
	r.RecurrenceProgress, r.WakeAt = advanced.RecurrenceProgress, advanced.WakeAt
	if r.ended = advanced.Ended; wasPaused && r.Pause == nil {
		setState(ctx, "")
	}
}

// pauseFor pauses r because of an error.
func (r *recurrence) pauseFor(ctx workflow.Context, err error) {
	note := err.Error()
	if refusal, ok := protocol.DecodeError(err); ok {
		note = refusal.Error()
	} else if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		note = app.Message()
	}
	workflow.GetLogger(ctx).Warn("paused a recurrence: its next tick cannot be worked out",
		"tenant", r.Tenant(), "schedule", r.ID, "error", note)
	r.setPause(ctx, postdate.Pause{Note: note})
}

// setPause pauses r from now on.
func (r *recurrence) setPause(ctx workflow.Context, pause postdate.Pause) {
	now := workflow.Now(ctx)
	pause.Since = now
	r.Pause = &pause
	r.WakeAt = now.Add(postdate.MaxDelay)
	if !pause.Until.IsZero() {
		r.WakeAt = pause.Until
	}
	setState(ctx, postdate.RecurrencePaused)
}

// end closes the execution, or continues it as new until it has something to do. What is
// left of one that ended is its result: it can be read for as long as its deliveries.
func (r *recurrence) end(ctx workflow.Context) (*protocol.RecurrenceResult, error) {
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	result := &protocol.RecurrenceResult{Recurrence: r.RecurrenceInput, Reason: r.reason}
	switch {
	case r.cancelled:
		return nil, temporal.NewCanceledError(result)
	case r.ended:
		return result, nil
	}
	return nil, workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
		BackoffStartInterval: max(0, min(r.WakeAt.Sub(workflow.Now(ctx)), postdate.MaxDelay)),
	}, protocol.RecurrenceWorkflow, r.RecurrenceInput)
}

// fireTimeout bounds how long the start of an extra delivery may take, and
// backfillTimeout that of many.
const (
	fireTimeout     = 30 * time.Second
	backfillTimeout = 5 * time.Minute
)

// run runs an activity that an Update has asked for. It is a regular one: a timer may
// fire while it runs.
func (*recurrence) run(ctx workflow.Context, timeout time.Duration, name string, in, out any) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: timeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}), name, in).Get(ctx, out)
}
