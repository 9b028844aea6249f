package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// EndpointInput is the endpoint as it was when the execution before this one ended.
type EndpointInput struct {
	Tenant   string           `json:"tenant"`
	ID       string           `json:"id"`
	Settings EndpointSettings `json:"settings"`
	// Known: the settings were told, or read.
	Known bool          `json:"known,omitempty"`
	Flow  postdate.Flow `json:"flow"`

	Leases []Holder `json:"leases,omitempty"` // in the order in which they came
	Bank   Bank     `json:"bank,omitzero"`
	Lately Lately   `json:"lately,omitzero"`

	Lines  []Queuer          `json:"lines,omitempty"` // who waits longest is first
	Newest map[string]Newest `json:"newest,omitempty"`

	// BusyAt is when anybody was here last, and ReadAt when the settings were read.
	BusyAt time.Time `json:"busy_at,omitzero"`
	ReadAt time.Time `json:"read_at,omitzero"`
	// OverloadedAt is since when the queue does not drain in time, and News what
	// remains to be told of it.
	OverloadedAt time.Time                `json:"overloaded_at,omitzero"`
	News         *activities.Announcement `json:"news,omitempty"`
}

// EndpointWorkflow shares out what an endpoint may be sent, holds its circuit
// breaker, and calls those who wait in line. It ends when nobody was there for a
// while; whoever needs it starts it again.
func EndpointWorkflow(ctx workflow.Context, in EndpointInput) error {
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
	e.decide(ctx, nil)
	if e.News != nil {
		e.announce(*e.News)
	}
	ripe := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	for !ripe() && !e.over {
		if e.sleep(ctx, ripe) {
			e.decide(ctx, nil)
		}
	}
	heard(ctx)
	// A call that is not on its way yet would be lost with this execution.
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) && e.calling == 0 })
	if e.over && len(e.Lines) == 0 && len(e.Leases) == 0 {
		return nil
	}
	if e.reading {
		e.ReadAt = time.Time{}
	}
	return workflow.NewContinueAsNewError(ctx, EndpointName, e.EndpointInput)
}

// endpoint is the state of an Endpoint execution.
type endpoint struct {
	EndpointInput

	ctx     workflow.Context // the execution's own
	wake    time.Time        // when to decide anew, if nobody comes before
	over    bool
	calling int  // calls that are not on their way yet
	reading bool // its settings
}

// sleep waits until it is time to decide anew, and answers whether it is. A
// timer that rings early does less harm than one that is moved with each lease.
func (e *endpoint) sleep(ctx workflow.Context, ripe func() bool) bool {
	set := e.wake
	inTime, _ := workflow.AwaitWithTimeout(ctx, max(0, set.Sub(workflow.Now(ctx))), func() bool {
		return e.over || ripe() || e.wake.Before(set)
	})
	return !inTime
}

func (e *endpoint) listen(ctx workflow.Context) error {
	workflow.Go(ctx, func(ctx workflow.Context) {
		for {
			var told EndpointSettings
			if !workflow.GetSignalChannel(ctx, SignalSettings).Receive(ctx, &told) {
				return
			}
			e.learn(told)
			e.busy(ctx)
			e.decide(ctx, nil)
		}
	})
	return errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateLease, e.lease,
			workflow.UpdateHandlerOptions{Description: "Gives a worker a share of what the endpoint may be sent."}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateJoin, e.join,
			workflow.UpdateHandlerOptions{Description: "Has a line wait for the endpoint's call."}),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateLeave, e.leave,
			workflow.UpdateHandlerOptions{Description: "Notes that what was called of a line is done."}),
		workflow.SetQueryHandlerWithOptions(ctx, QueryHealth, e.health,
			workflow.QueryHandlerOptions{Description: "How the endpoint takes what it is sent."}),
		workflow.SetQueryHandlerWithOptions(ctx, QueryTurn, e.turn,
			workflow.QueryHandlerOptions{Description: "Where a line stands, by its id."}),
	)
}

func (e *endpoint) busy(ctx workflow.Context) { e.BusyAt = workflow.Now(ctx) }

// learn takes over settings that are newer than those it has.
func (e *endpoint) learn(told EndpointSettings) {
	if told.Version > e.Settings.Version || !e.Known {
		e.Settings, e.Known = told, true
	}
}

// settingsEvery is how often the settings of an endpoint that may not be sent to are
// read again while somebody waits for it: for the case that its word is lost.
const settingsEvery = 30 * time.Second

func (e *endpoint) read() {
	e.reading = true
	ctx := workflow.WithActivityOptions(e.ctx, workflow.ActivityOptions{
		TaskQueue:              ControlQueue,
		StartToCloseTimeout:    grace,
		ScheduleToCloseTimeout: settingsEvery,
		RetryPolicy:            &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 10 * time.Second},
	})
	workflow.Go(ctx, func(ctx workflow.Context) {
		var read EndpointSettings
		err := workflow.ExecuteActivity(ctx, activities.SettingsName,
			activities.EndpointRef{Tenant: e.Tenant, Endpoint: e.ID}).Get(ctx, &read)
		e.reading = false
		if err == nil { // else it is read again after a while
			e.learn(read)
		}
		e.decide(ctx, nil)
	})
}

// enabled tells whether the endpoint may be sent to, and deleted whether it is
// known not to exist.
func (e *endpoint) enabled() bool { return e.Known && e.Settings.State == postdate.Enabled }
func (e *endpoint) deleted() bool { return e.Known && e.Settings.State == "" }
