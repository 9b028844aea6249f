package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// reportTick reports to the recurrence whose tick d delivers that it has ended, where that
// waits for it, and that its receiver asked to stop.
func (d *delivery) reportTick(ctx workflow.Context) {
	tick := d.Shipment.Message.Tick
	if tick == nil {
		return
	}
	stop := slices.ContainsFunc(d.Attempts, func(a postdate.Attempt) bool { return a.StopRecurrence })
	if !stop && (!d.ReportEnd || !d.state.Final()) {
		return
	}
	err := runDurably(ctx, protocol.TickEndedActivity, protocol.TickEnded{
		Tenant: d.Shipment.Message.Tenant, Schedule: tick.Schedule, DeliveryID: d.Shipment.ID(), Stop: stop,
	}, nil, maxAnnounceAttempts)
	if err != nil {
		workflow.GetLogger(ctx).Warn("failed to report the end of a tick's delivery",
			"tenant", d.Shipment.Message.Tenant, "delivery", d.Shipment.ID(), "error", err)
	}
}

// followLaw works out again when a local time is due, by the law that is known now. Where
// that is later, d continues as new until then, unless an Update woke it.
func (d *delivery) followLaw(ctx workflow.Context) {
	if d.Local == nil {
		return
	}
	var due postdate.Moment
	if err := runDurably(ctx, protocol.LocalTimeActivity, *d.Local, &due, 1); err != nil {
		// The zone is not known any more: the instant that was known is kept to.
		workflow.GetLogger(ctx).Warn("failed to work out a local time again",
			"tenant", d.Shipment.Message.Tenant, "delivery", d.Shipment.ID(), "error", err)
		due.DueAt, due.Note = d.Shipment.DueAt.Add(-d.Local.Spread.Duration()), d.Local.Note
	}
	local := *d.Local
	local.Note = due.Note
	at := due.DueAt.Add(local.Spread.Duration())
	d.Local, d.Shipment.DueAt, d.Shipment.Message.Timestamp = &local, at, at
	if at.After(workflow.Now(ctx)) && !d.isPending() {
		d.continueAsNew()
	}
}
