package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// EndpointWorkflow divides an endpoint's pace among worker processes, holds its circuit
// breaker, and wakes the lines of its queue in order. It ends after a while without use;
// the next lease request or line starts it again.
func EndpointWorkflow(ctx workflow.Context, in protocol.EndpointInput) error {
	// A cancellation, as the Web UI sends, would forget the queue.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	e := &endpoint{EndpointInput: in, ctx: ctx, queue: newQueue(in.Lines, workflow.Now(ctx))}
	e.Lines = nil // see queue
	e.indexKeys()
	e.restoreReservations()
	e.Known = e.Known || e.Settings.State != ""
	e.followCanary(workflow.Now(ctx))
	if e.BusyAt.IsZero() {
		e.BusyAt = workflow.Now(ctx)
	}
	if err := e.listen(ctx); err != nil {
		return err
	}
	e.apply(ctx, nil)
	if e.News != nil {
		e.announce(*e.News)
	}
	historyFull := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	for !historyFull() && !e.done {
		if e.sleep(ctx, historyFull) {
			e.apply(ctx, nil)
		}
	}
	drainSignals(ctx)
	// A wake signal that is not sent yet would be lost with this execution.
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && e.waking == 0 })
	if e.done && e.queue.len() == 0 && len(e.Leases) == 0 {
		return nil
	}
	if e.reading {
		e.ReadAt = time.Time{}
	}
	e.Lines = e.queue.snapshot()
	return workflow.NewContinueAsNewError(ctx, protocol.EndpointWorkflow, e.EndpointInput)
}

// endpoint is the state of an Endpoint execution.
type endpoint struct {
	protocol.EndpointInput

	ctx      workflow.Context // the execution's own
	queue    *queue           // instead of Lines, while the execution runs
	wakeAt   time.Time        // when to decide next, if nothing happens before
	done     bool
	waking   int  // wake signals that are not sent yet
	reading  bool // the settings are being read
	changing bool // the canary is being changed
}

// sleep waits until wakeAt, and reports whether that is reached. A wakeAt that moves
// later does not move the timer: an early timer is cheaper than one more with each lease.
func (e *endpoint) sleep(ctx workflow.Context, historyFull func() bool) bool {
	set := e.wakeAt
	interrupted, _ := workflow.AwaitWithTimeout(ctx, max(0, set.Sub(workflow.Now(ctx))), func() bool {
		return e.done || historyFull() || e.wakeAt.Before(set)
	})
	return !interrupted
}

func (e *endpoint) listen(ctx workflow.Context) error {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var settings protocol.EndpointSettings
			if !workflow.GetSignalChannel(ctx, protocol.SignalSettings).Receive(ctx, &settings) {
				return
			}
			e.updateSettings(settings)
			e.markBusy(ctx)
			e.apply(ctx, nil)
		}
	})
	e.listenToCanary(ctx)
	return errors.Join(
		setUpdate(ctx, protocol.UpdateLease, e.lease, nil, "Grants a worker process a share of the endpoint's pace."),
		setUpdate(ctx, protocol.UpdateJoin, e.join, nil, "Adds a line to the endpoint's queue."),
		setUpdate(ctx, protocol.UpdatePull, e.pull, nil, "Reserves messages for consumers, where the endpoint is pulled from."),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryPullable, e.pullable,
			workflow.QueryHandlerOptions{Description: "How many messages could be pulled, at a time."}),
		setUpdate(ctx, protocol.UpdateLeave, e.leave, nil, "Reports that a line that was woken is done."),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryHealth, e.health,
			workflow.QueryHandlerOptions{Description: "The endpoint's health, as its API shows it."}),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryTurn, e.queuePosition,
			workflow.QueryHandlerOptions{Description: "The queue position of a line, by its id."}),
	)
}

func (e *endpoint) markBusy(ctx workflow.Context) { e.BusyAt = workflow.Now(ctx) }

// updateSettings applies settings that are newer than the known ones.
func (e *endpoint) updateSettings(settings protocol.EndpointSettings) {
	if settings.Version > e.Settings.Version || !e.Known {
		e.Settings, e.Known = settings, true
		e.followCanary(workflow.Now(e.ctx))
	}
}

// settingsInterval is how often the settings of an endpoint that may not be sent to are
// read while lines wait for it, in case the signal with new settings was lost.
const settingsInterval = 30 * time.Second

func (e *endpoint) readSettings() {
	e.reading = true
	ctx := workflow.WithActivityOptions(e.ctx, workflow.ActivityOptions{
		TaskQueue:              protocol.ControlQueue,
		StartToCloseTimeout:    activityGrace,
		ScheduleToCloseTimeout: settingsInterval,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second},
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		var read protocol.EndpointSettings
		err := workflow.ExecuteActivity(ctx, protocol.SettingsActivity,
			protocol.EndpointRef{Tenant: e.Tenant, Endpoint: e.ID}).Get(ctx, &read)
		e.reading = false
		if err == nil { // else they are read again after settingsInterval
			e.updateSettings(read)
		}
		e.apply(ctx, nil)
	})
}

// enabled reports whether the endpoint may be sent to, and deleted whether it is known
// not to exist.
func (e *endpoint) enabled() bool { return e.Known && e.Settings.State == postdate.Enabled }
func (e *endpoint) deleted() bool { return e.Known && e.Settings.State == "" }
