package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// EndpointWorkflow shares out what an endpoint may be sent, holds its circuit
// breaker, and calls those who wait in line. It ends when nobody was there for a
// while; whoever needs it starts it again.
func EndpointWorkflow(ctx workflow.Context, in protocol.EndpointInput) error {
	// A request to cancel it, as the Web UI sends them, would forget who waits.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	e := &endpoint{EndpointInput: in, ctx: ctx}
	e.Known = e.Known || e.Settings.State != ""
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
	ripe := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	for !ripe() && !e.done {
		if e.sleep(ctx, ripe) {
			e.apply(ctx, nil)
		}
	}
	drainSignals(ctx)
	// A call that is not on its way yet would be lost with this execution.
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && e.waking == 0 })
	if e.done && len(e.Lines) == 0 && len(e.Leases) == 0 {
		return nil
	}
	if e.reading {
		e.ReadAt = time.Time{}
	}
	return workflow.NewContinueAsNewError(ctx, protocol.EndpointWorkflow, e.EndpointInput)
}

// endpoint is the state of an Endpoint execution.
type endpoint struct {
	protocol.EndpointInput

	ctx     workflow.Context // the execution's own
	wakeAt  time.Time        // when to decide anew, if nobody comes before
	done    bool
	waking  int  // calls that are not on their way yet
	reading bool // its settings
}

// sleep waits until it is time to decide anew, and answers whether it is. A
// timer that rings early does less harm than one that is moved with each lease.
func (e *endpoint) sleep(ctx workflow.Context, ripe func() bool) bool {
	set := e.wakeAt
	inTime, _ := workflow.AwaitWithTimeout(ctx, max(0, set.Sub(workflow.Now(ctx))), func() bool {
		return e.done || ripe() || e.wakeAt.Before(set)
	})
	return !inTime
}

func (e *endpoint) listen(ctx workflow.Context) error {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var told protocol.EndpointSettings
			if !workflow.GetSignalChannel(ctx, protocol.SignalSettings).Receive(ctx, &told) {
				return
			}
			e.updateSettings(told)
			e.markBusy(ctx)
			e.apply(ctx, nil)
		}
	})
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateLease, e.lease,
			workflow.UpdateHandlerOptions{Description: "Gives a worker a share of what the endpoint may be sent."}),
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateJoin, e.join,
			workflow.UpdateHandlerOptions{Description: "Has a line wait for the endpoint's call."}),
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateLeave, e.leave,
			workflow.UpdateHandlerOptions{Description: "Notes that what was called of a line is done."}),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryHealth, e.health,
			workflow.QueryHandlerOptions{Description: "How the endpoint takes what it is sent."}),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryTurn, e.queuePosition,
			workflow.QueryHandlerOptions{Description: "Where a line stands, by its id."}),
	)
}

func (e *endpoint) markBusy(ctx workflow.Context) { e.BusyAt = workflow.Now(ctx) }

// updateSettings takes over settings that are newer than those it has.
func (e *endpoint) updateSettings(told protocol.EndpointSettings) {
	if told.Version > e.Settings.Version || !e.Known {
		e.Settings, e.Known = told, true
	}
}

// settingsEvery is how often the settings of an endpoint that may not be sent to are
// read again while somebody waits for it: for the case that its word is lost.
const settingsEvery = 30 * time.Second

func (e *endpoint) readSettings() {
	e.reading = true
	ctx := workflow.WithActivityOptions(e.ctx, workflow.ActivityOptions{
		TaskQueue:              protocol.ControlQueue,
		StartToCloseTimeout:    activityGrace,
		ScheduleToCloseTimeout: settingsEvery,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second},
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		var read protocol.EndpointSettings
		err := workflow.ExecuteActivity(ctx, protocol.SettingsActivity,
			protocol.EndpointRef{Tenant: e.Tenant, Endpoint: e.ID}).Get(ctx, &read)
		e.reading = false
		if err == nil { // else it is read again after a while
			e.updateSettings(read)
		}
		e.apply(ctx, nil)
	})
}

// enabled tells whether the endpoint may be sent to, and deleted whether it is
// known not to exist.
func (e *endpoint) enabled() bool { return e.Known && e.Settings.State == postdate.Enabled }
func (e *endpoint) deleted() bool { return e.Known && e.Settings.State == "" }
