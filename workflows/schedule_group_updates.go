package workflows

import (
	"errors"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen sets the handlers of g, one for each Update that a Deliver takes.
func (g *scheduleGroup) listen(ctx workflow.Context) error {
	return errors.Join(
		setUpdate(ctx, protocol.UpdateCancel, g.cancel, g.validate,
			"Cancels one of the schedules, unless it ends otherwise first."),
		setUpdate(ctx, protocol.UpdateReschedule, g.reschedule, g.validateReschedule,
			"Moves the due time of one of the schedules, or replaces its data: it leaves for an execution of its own."),
		setUpdate(ctx, protocol.UpdateFire, g.fire, g.validate,
			"Has one of the schedules sent now: it leaves for an execution of its own."),
		setUpdate(ctx, protocol.UpdateCancelMany, g.cancelMany, g.validateMany,
			"Cancels several of the schedules."),
		setUpdate(ctx, protocol.UpdatePostponeMany, g.postponeMany, g.validateMany,
			"Puts off several of the schedules. All that wait stay together; of others each leaves for an execution of its own."),
	)
}

// validate refuses requests that come too late. Those that come during the attempt wait for
// its end.
func (g *scheduleGroup) validate(r protocol.ScheduleRequest) error {
	if r.Place < 0 || r.Place >= len(g.states) {
		return protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "the group has no such schedule"))
	}
	return g.conflict(r.Place)
}

func (g *scheduleGroup) validateReschedule(ctx workflow.Context, r protocol.ScheduleRequest) error {
	if err := g.validate(r); err != nil {
		return err
	}
	return protocol.EncodeError(r.Change.Validate(workflow.Now(ctx), g.Entries[r.Place].ExpiresAt))
}

// conflict is the error that says what came first: nil where nothing did yet.
func (g *scheduleGroup) conflict(place int) error {
	switch g.states[place] {
	case groupedDelivered:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.Delivered))
	case groupedCancelled:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.Cancelled))
	case groupedMoved:
		return protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "it has an execution of its own"))
	default:
		return nil
	}
}

// cancel cancels a schedule. The memo that says so is recorded with the Update.
func (g *scheduleGroup) cancel(ctx workflow.Context, r protocol.ScheduleRequest) (protocol.UpdateResult, error) {
	if g.states[r.Place] != groupedPending {
		return g.awaitOther(ctx, r.Place)
	}
	g.setCancelled(ctx, r.Place)
	return protocol.UpdateResult{State: postdate.Cancelled, DueAt: g.Entries[r.Place].Shipment.DueAt}, nil
}

// setCancelled cancels schedules that wait, and has lists show it.
func (g *scheduleGroup) setCancelled(ctx workflow.Context, places ...int) {
	if len(g.Result.Cancelled) == 0 {
		setState(ctx, postdate.Cancelled)
	}
	for _, place := range places {
		g.states[place] = groupedCancelled
		g.Result.Cancelled[place] = workflow.Now(ctx)
	}
	g.woken, g.changed = true, true
	drainSignals(ctx) // those that are cancelled with the same task share its memo
	g.show(ctx)
}

// reschedule has a schedule leave for an execution of its own, asleep until it is due.
func (g *scheduleGroup) reschedule(ctx workflow.Context, r protocol.ScheduleRequest) (protocol.UpdateResult, error) {
	in := g.DeliverInput(r.Place)
	if r.Change.Data != nil {
		in.Shipment.Message.Data = r.Change.Data
	}
	if r.Change.DueAt != nil {
		in.Shipment.DueAt, in.Shipment.Message.Timestamp = *r.Change.DueAt, *r.Change.DueAt
	}
	return g.leaveAs(ctx, r.Place, in, postdate.Scheduled)
}

// fire has a schedule leave for an execution of its own, which sends it now.
func (g *scheduleGroup) fire(ctx workflow.Context, r protocol.ScheduleRequest) (protocol.UpdateResult, error) {
	in := g.DeliverInput(r.Place)
	in.Fired = true
	return g.leaveAs(ctx, r.Place, in, postdate.Sending)
}

// leaveAs has a schedule leave as in, and returns once its execution is durably started.
func (g *scheduleGroup) leaveAs(
	ctx workflow.Context, place int, in protocol.DeliverInput, state postdate.State,
) (protocol.UpdateResult, error) {
	if g.states[place] != groupedPending {
		return g.awaitOther(ctx, place)
	}
	g.requestLeave(place, in)
	if err := workflow.Await(ctx, func() bool { return g.states[place] != groupedLeaving }); err != nil {
		return protocol.UpdateResult{}, err
	}
	return protocol.UpdateResult{State: state, DueAt: in.Shipment.DueAt}, nil
}

// requestLeave has a schedule that waits leave as in.
func (g *scheduleGroup) requestLeave(place int, in protocol.DeliverInput) {
	g.states[place] = groupedLeaving
	g.requested = append(g.requested, protocol.LeavingDelivery{Input: in, Accepted: g.Accepted(place)})
	g.woken = true
}

// isUnderWay reports whether something is done to a schedule, whose end is to be waited for.
func (g *scheduleGroup) isUnderWay(place int) bool {
	return g.states[place] == groupedLeaving || g.states[place] == groupedSending
}

// awaitOther waits for the end of what came first to a schedule, and returns the error that
// says what that was.
func (g *scheduleGroup) awaitOther(ctx workflow.Context, place int) (protocol.UpdateResult, error) {
	if err := workflow.Await(ctx, func() bool { return !g.isUnderWay(place) }); err != nil {
		return protocol.UpdateResult{}, err
	}
	return protocol.UpdateResult{}, g.conflict(place)
}
