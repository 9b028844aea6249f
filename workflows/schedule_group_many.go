package workflows

import (
	"slices"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// validateMany refuses a request of which nothing can come any more: what became of each is
// found one by one.
func (g *scheduleGroup) validateMany(r protocol.SchedulesRequest) error {
	if slices.ContainsFunc(r.Places, func(place int) bool { return place < 0 || place >= len(g.states) }) {
		return protocol.EncodeError(postdate.Errorf(postdate.NotFound, "", "the group has no such schedule"))
	}
	if !slices.ContainsFunc(r.Places, func(place int) bool { return g.states[place] == groupedPending || g.isUnderWay(place) }) {
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "none of them waits any more"))
	}
	return nil
}

// waiting are those of some places whose schedules wait, each once and in order.
func (g *scheduleGroup) waiting(places []int) []int {
	return slices.DeleteFunc(g.pending(), func(place int) bool { return !slices.Contains(places, place) })
}

// cancelMany cancels schedules. Those that wait are cancelled at once, by one change of the
// memo; the others end otherwise. Where nothing else is left the group itself ends as
// cancelled, which says it of all of them.
func (g *scheduleGroup) cancelMany(ctx workflow.Context, r protocol.SchedulesRequest) (protocol.SchedulesChanged, error) {
	switch waiting := g.waiting(r.Places); {
	case len(waiting) == 0:
	case len(waiting) == len(g.states):
		for _, place := range waiting {
			g.states[place] = groupedCancelled
			g.Result.Cancelled[place] = workflow.Now(ctx)
		}
		g.woken, g.whole = true, true
	default:
		g.setCancelled(ctx, waiting...)
	}
	if err := g.awaitAll(ctx, r.Places); err != nil {
		return protocol.SchedulesChanged{}, err
	}
	return g.changedOf(r.Places, func(place int) bool { return g.states[place] == groupedCancelled }), nil
}

// postponeMany puts schedules off. Where those are all that wait, they stay together, and the
// group sleeps on as a new run. Otherwise each leaves for an execution of its own.
func (g *scheduleGroup) postponeMany(ctx workflow.Context, r protocol.SchedulesRequest) (protocol.SchedulesChanged, error) {
	isAgain := r.Operation != "" && r.Operation == g.Postponed
	movable := g.waiting(r.Places)
	movable = slices.DeleteFunc(movable, func(place int) bool {
		due := g.Entries[place].Shipment.DueAt.Add(r.By.Duration())
		return postdate.Change{DueAt: &due}.Validate(workflow.Now(ctx), g.Entries[place].ExpiresAt) != nil
	})
	switch {
	case isAgain || len(movable) == 0:
	case len(movable) == len(g.pending()) && len(g.requested) == 0:
		g.putOff(ctx, movable, r)
	default:
		for _, place := range movable {
			in := g.DeliverInput(place)
			in.Shipment.DueAt = in.Shipment.DueAt.Add(r.By.Duration())
			in.Shipment.Message.Timestamp = in.Shipment.DueAt
			g.requestLeave(place, in)
		}
	}
	isPutOff := func(place int) bool { return g.states[place] == groupedPending && g.Postponed == r.Operation }
	if isAgain || len(movable) > 0 && !g.isUnderWay(movable[0]) {
		return g.changedOf(r.Places, isPutOff), nil // at once: the new run begins with it
	}
	if err := g.awaitAll(ctx, r.Places); err != nil {
		return protocol.SchedulesChanged{}, err
	}
	changed := g.changedOf(r.Places, func(int) bool { return false })
	changed.Done = movable
	changed.Moved = slices.DeleteFunc(changed.Moved, func(place int) bool { return slices.Contains(movable, place) })
	return changed, nil
}

// putOff puts off all schedules that wait.
func (g *scheduleGroup) putOff(ctx workflow.Context, places []int, r protocol.SchedulesRequest) {
	for _, place := range places {
		shipment := &g.Entries[place].Shipment
		shipment.DueAt = shipment.DueAt.Add(r.By.Duration())
		shipment.Message.Timestamp = shipment.DueAt
	}
	g.Postponed, g.woken, g.changed, g.restart = r.Operation, true, true, true
	if g.Late > 0 { // the next run carries over what is set
		_ = workflow.UpsertTypedSearchAttributes(ctx, protocol.AttrBurst.ValueSet(protocol.BurstOf(g.Tenant, g.DueAt())))
	}
	g.show(ctx)
}

// awaitAll waits until nothing is done to any of some schedules.
func (g *scheduleGroup) awaitAll(ctx workflow.Context, places []int) error {
	return workflow.Await(ctx, func() bool { return !slices.ContainsFunc(places, g.isUnderWay) })
}

// changedOf is the result of a request: done reports what was changed, or was before.
func (g *scheduleGroup) changedOf(places []int, done func(place int) bool) protocol.SchedulesChanged {
	var changed protocol.SchedulesChanged
	for _, place := range places {
		switch {
		case done(place):
			changed.Done = append(changed.Done, place)
		case g.states[place] == groupedMoved:
			changed.Moved = append(changed.Moved, place)
		default:
			changed.Late = append(changed.Late, place)
		}
	}
	return changed
}
