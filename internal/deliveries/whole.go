package deliveries

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

const (
	// wholeLead is how long before the first schedule of a group is due it may be ended as a
	// whole, and wholeTimeout bounds how long that takes: it is over before any is sent.
	wholeLead    = time.Minute
	wholeTimeout = 10 * time.Second
	// asleepEvents are the events of a run that nothing has woken: its start. One that was
	// ended then has one more.
	asleepEvents = 1
)

// cancelWhole cancels all schedules of a group that wait, and reports whether it did: it ends
// the run, in which no code has run yet, by one write that names the operation. Whatever was
// requested of the group is recorded before that write, or comes too late.
func (s *Store) cancelWhole(
	ctx context.Context, workflowID string, places []int, operation string,
) (changed protocol.SchedulesChanged, done bool, err error) {
	ctx, stop := context.WithTimeout(ctx, wholeTimeout)
	defer stop()
	g, err := s.describeGroup(ctx, workflowID)
	if err == nil && s.isAsleep(g, places) {
		g, err = s.endWhole(ctx, g, operation)
	}
	switch {
	case postdate.CodeOf(err) == postdate.NotFound:
		return changed, false, nil
	case err != nil:
		return changed, false, fmt.Errorf("cancel all of %s: %w", workflowID, err)
	case g.cancelled == "":
		return changed, false, nil
	}
	if err := s.settle(ctx, g); err != nil {
		return changed, false, err
	}
	for _, place := range places {
		if g.carries(place) {
			changed.Done = append(changed.Done, place)
		} else {
			changed.Moved = append(changed.Moved, place)
		}
	}
	return changed, true, nil
}

// endWhole ends the run of a group for an operation, and returns what the group is then.
func (s *Store) endWhole(ctx context.Context, g *scheduleGroup, operation string) (*scheduleGroup, error) {
	run := g.info.GetExecution()
	err := s.temporal.TerminateWorkflow(ctx, run.GetWorkflowId(), run.GetRunId(), protocol.CancelledBy(operation))
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return s.describeGroup(ctx, run.GetWorkflowId())
	}
	if err != nil {
		return nil, err
	}
	end, err := s.executions.LastEvent(ctx, run)
	if err != nil {
		return nil, err
	}
	if end.GetEventId() == asleepEvents+1 {
		g.cancelled = protocol.CancelledBy(operation) // it slept until then, as it was read
		return g, nil
	}
	return s.describeGroup(ctx, run.GetWorkflowId())
}

// describeGroup reads of a ScheduleGroup what its memo says, and whether an operation ended it.
func (s *Store) describeGroup(ctx context.Context, workflowID string) (*scheduleGroup, error) {
	described, err := s.executions.Describe(ctx, workflowID, workflowID)
	if err != nil {
		return nil, err
	}
	g := &scheduleGroup{info: described.GetWorkflowExecutionInfo(), task: described.GetPendingWorkflowTask()}
	if err := s.executions.ReadMemo(g.info, protocol.MemoSchedules, &g.memo); err != nil {
		return nil, err
	}
	if g.info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED {
		return g, nil
	}
	return g, s.readWhole(ctx, g)
}

// isAsleep reports whether a group sleeps, nothing has woken its run, none of its schedules is
// due soon, and those that wait are all among some places.
func (s *Store) isAsleep(g *scheduleGroup, places []int) bool {
	if !executions.IsRunning(g.info) || g.info.GetHistoryLength() > asleepEvents || g.task != nil {
		return false
	}
	soon := s.now().Add(wholeLead)
	return !slices.ContainsFunc(g.memo.Schedules, func(schedule protocol.GroupedSchedule) bool {
		return schedule.CancelledAt.IsZero() && (schedule.DueAt.Before(soon) || !slices.Contains(places, schedule.Place))
	})
}

// isUnsettled reports whether a group was ended when something had woken it: some may have
// been about to leave it.
func isUnsettled(info *workflowpb.WorkflowExecutionInfo) bool {
	return info.GetType().GetName() == protocol.ScheduleGroupWorkflow &&
		info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED && info.GetHistoryLength() > asleepEvents+1
}

// readWhole reads why a group was ended, and where an operation did, which of its schedules
// were about to leave it: their executions may be started after that.
func (s *Store) readWhole(ctx context.Context, g *scheduleGroup) error {
	leaving := func(*historypb.HistoryEvent) error { return nil }
	read := func(event *historypb.HistoryEvent) error {
		if ended := event.GetWorkflowExecutionTerminatedEventAttributes(); protocol.IsCancelledBy(ended.GetReason()) {
			g.cancelled = ended.GetReason()
		}
		return leaving(event)
	}
	var err error
	if isUnsettled(g.info) {
		leaving = func(event *historypb.HistoryEvent) error { return s.addLeaving(g, event) }
		err = s.executions.Events(ctx, g.info.GetExecution(), read)
	} else {
		var end *historypb.HistoryEvent
		if end, err = s.executions.LastEvent(ctx, g.info.GetExecution()); err == nil {
			err = read(end)
		}
	}
	if err != nil {
		return fmt.Errorf("read the end of %s: %w", g.info.GetExecution().GetWorkflowId(), err)
	}
	if g.cancelled == "" {
		g.leaving = nil
	}
	return nil
}

// addLeaving adds the schedules that leave by an activity, if that is what an event schedules.
func (s *Store) addLeaving(g *scheduleGroup, event *historypb.HistoryEvent) error {
	scheduled := event.GetActivityTaskScheduledEventAttributes()
	if scheduled.GetActivityType().GetName() != protocol.StartDeliveriesActivity {
		return nil
	}
	var in protocol.StartDeliveriesInput
	if err := s.executions.Decode(scheduled.GetInput(), &in); err != nil {
		return err
	}
	for _, delivery := range in.Deliveries {
		_, place, _ := postdate.SplitGroupedScheduleID(delivery.Input.Shipment.Message.ID)
		g.leaving = append(g.leaving, place)
	}
	return nil
}

// carries reports whether a group has the schedule at a place, which is not about to leave.
func (g *scheduleGroup) carries(place int) bool {
	return !slices.Contains(g.leaving, place) && slices.ContainsFunc(g.memo.Schedules, func(schedule protocol.GroupedSchedule) bool {
		return schedule.Place == place
	})
}

// settle starts executions for those that were about to leave a group when it was ended, where
// they have none. They sleep, and are cancelled as others are: which comes first, that or what
// they were to leave for, is decided there.
func (s *Store) settle(ctx context.Context, g *scheduleGroup) error {
	if len(g.leaving) == 0 {
		return nil
	}
	var in protocol.ScheduleGroupInput
	if err := s.executions.ReadInput(ctx, g.info, &in); err != nil {
		return err
	}
	for _, place := range g.leaving {
		own, accepted := in.DeliverInput(place), in.Accepted(place)
		_, err := s.executions.Start(ctx, protocol.DeliverOptions(own, accepted, s.now()), protocol.DeliverWorkflow, own)
		if err != nil && !errors.Is(err, executions.ErrExists) {
			return fmt.Errorf("start %s: %w", own.Shipment.ID(), err)
		}
	}
	return nil
}

// ResumeCancel returns how many of the deliveries that a filter matches were cancelled since an
// operation began, by whomever, and the ids of those that are to be cancelled once more: they
// were about to leave a group when it was ended, and may still be started.
func (s *Store) ResumeCancel(ctx context.Context, filter postdate.Filter, began time.Time) (done int, again []string, err error) {
	filter.State = postdate.Cancelled
	unsettled := make(map[*workflowpb.WorkflowExecutionInfo][]row)
	_, err = s.forEach(ctx, filter, Cursor{}, maxPage/2, func(r row) bool {
		switch {
		case r.EndedAt.Before(began):
		case isUnsettled(r.info):
			unsettled[r.info] = append(unsettled[r.info], r)
		default:
			done++
		}
		return true
	})
	if err != nil {
		return 0, nil, err
	}
	for info, rows := range unsettled {
		g := &scheduleGroup{info: info}
		if err := s.readWhole(ctx, g); err != nil {
			return 0, nil, err
		}
		if err := s.settle(ctx, g); err != nil {
			return 0, nil, err
		}
		for _, r := range rows {
			if _, place, _ := postdate.SplitGroupedScheduleID(r.ID); slices.Contains(g.leaving, place) {
				again = append(again, r.ID)
			} else {
				done++
			}
		}
	}
	return done, again, nil
}
