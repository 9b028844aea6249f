package deliveries

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// scheduleState is where a schedule stands in its ScheduleGroup.
type scheduleState struct {
	state   postdate.State
	endedAt time.Time // zero where it has not ended
}

// scheduleGroup is what was read of a ScheduleGroup.
type scheduleGroup struct {
	info *workflowpb.WorkflowExecutionInfo
	// task is the workflow task that is scheduled or under way, if one is.
	task *workflowpb.PendingWorkflowTaskInfo
	// input is that of the newest run, and memo what it carries now.
	input protocol.ScheduleGroupInput
	memo  protocol.GroupedSchedules
	ended protocol.ScheduleGroupEnded
	// sending: its attempts are under way as a regular activity.
	sending bool
	// cancelled is the reason with which an operation ended it as a whole: empty where none did.
	cancelled string
	// leaving are the places of those that were about to leave it then.
	leaving []int
}

// scheduleGroupSpan bounds the time from when a group of schedules is first due until its last one
// is: a second, and the difference of two clocks.
const scheduleGroupSpan = 2 * time.Second

// scheduleGroupCondition is a condition for groups of schedules alone.
func scheduleGroupCondition(condition string) string {
	return "WorkflowType = " + executions.Quote(protocol.ScheduleGroupWorkflow) + " AND " + condition
}

// stateIn is where a schedule stands, as the memo of the execution that carries it says.
// The attempts are recorded when the execution ends.
func stateIn(info *workflowpb.WorkflowExecutionInfo, schedule protocol.GroupedSchedule, now time.Time) scheduleState {
	starts := schedule.DueAt
	if taken := asTime(info.GetExecutionTime()); taken.After(starts) {
		starts = taken // one of a burst
	}
	switch {
	case !schedule.CancelledAt.IsZero():
		return scheduleState{postdate.Cancelled, schedule.CancelledAt}
	case !executions.IsRunning(info):
		return scheduleState{stateOf(info, now), asTime(info.GetCloseTime())}
	case starts.After(now):
		return scheduleState{state: postdate.Scheduled}
	default:
		return scheduleState{state: postdate.Sending}
	}
}

// readScheduled reads a schedule that has no execution of its own: its group carries it, or it
// has just left it.
func (s *Store) readScheduled(ctx context.Context, tenant, group string, place int) (*record, error) {
	id := postdate.GroupedScheduleID(group, place)
	for deadline := time.Now().Add(moveTimeout); ; {
		g, err := s.readScheduleGroup(ctx, protocol.ScheduleGroupID(tenant, group), id)
		if err != nil {
			return nil, err
		}
		read, there, err := s.scheduledRecord(ctx, g, place)
		if there || err != nil {
			return read, err
		}
		read, err = s.readOwn(ctx, tenant, id)
		if postdate.CodeOf(err) != postdate.NotFound || time.Now().After(deadline) {
			return read, err
		}
		select {
		case <-time.After(moveInterval):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// readScheduleGroup reads a ScheduleGroup. An error names what the caller looks for by id.
func (s *Store) readScheduleGroup(ctx context.Context, workflowID, id string) (*scheduleGroup, error) {
	described, err := s.executions.Describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	g := &scheduleGroup{info: described.GetWorkflowExecutionInfo(), task: described.GetPendingWorkflowTask()}
	for _, pending := range described.GetPendingActivities() {
		g.sending = g.sending || pending.GetActivityType().GetName() == protocol.SendGroupActivity
	}
	if err := s.executions.ReadMemo(g.info, protocol.MemoSchedules, &g.memo); err != nil {
		return nil, err
	}
	if err := s.executions.ReadInput(ctx, g.info, &g.input); err != nil {
		return nil, err
	}
	return g, s.readGroupEnd(ctx, g)
}

// readGroupEnd reads how a ScheduleGroup ended, where that says more than its status.
func (s *Store) readGroupEnd(ctx context.Context, g *scheduleGroup) error {
	switch g.info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
	case enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return s.readWhole(ctx, g)
	default:
		return nil
	}
	workflowID := g.info.GetExecution().GetWorkflowId()
	end, err := s.executions.LastEvent(ctx, g.info.GetExecution())
	if err != nil {
		return fmt.Errorf("read the end of %s: %w", workflowID, err)
	}
	if payloads := end.GetWorkflowExecutionCompletedEventAttributes().GetResult(); payloads != nil {
		if err := s.executions.Decode(payloads, &g.ended); err != nil {
			return fmt.Errorf("read the result of %s: %w", workflowID, err)
		}
	}
	return nil
}

// scheduledRecord is what a group has of the schedule at a place: there reports whether it
// is still in it.
func (s *Store) scheduledRecord(ctx context.Context, g *scheduleGroup, place int) (read *record, there bool, err error) {
	if place >= len(g.input.Entries) {
		return nil, false, executions.Unknown(postdate.GroupedScheduleID(g.input.ID, place))
	}
	at := slices.IndexFunc(g.memo.Schedules, func(schedule protocol.GroupedSchedule) bool { return schedule.Place == place })
	if at < 0 || slices.Contains(g.leaving, place) {
		return nil, false, nil
	}
	state := stateIn(g.info, g.memo.Schedules[at], s.now())
	read = &record{
		info: g.info, task: g.task, scheduled: &state, sending: g.sending && state.state == postdate.Sending,
		input: g.input.DeliverInput(place), accepted: g.input.Accepted(place),
	}
	if attempt, delivered := g.ended.Delivered[place]; delivered {
		read.attempts = postdate.Attempts{attempt}
		state.endedAt = endOf(attempt)
	}
	isCancelled := g.info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED || !g.memo.Schedules[at].CancelledAt.IsZero()
	switch {
	case !state.state.Final() || state.state == postdate.Delivered || isCancelled:
	case g.cancelled != "":
		read.failure = g.cancelled
	default:
		read.failure = "its group was ended by the operator, in Temporal"
	}
	read.tenant, err = s.tenants.Tenant(ctx, g.input.Tenant)
	return read, true, err
}

// scheduleGroupRows are the schedules that a group carries, in the order of their ids.
func (s *Store) scheduleGroupRows(tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time) ([]row, error) {
	owner, group, ok := protocol.ParseScheduleGroupID(info.GetExecution().GetWorkflowId())
	if !ok || owner != tenant {
		return nil, nil
	}
	var memo protocol.GroupedSchedules
	if err := s.executions.ReadMemo(info, protocol.MemoSchedules, &memo); err != nil {
		return nil, err
	}
	rows, shared := make([]row, len(memo.Schedules)), newRow(info, now)
	shared.waiting = memo.Waiting()
	for n, schedule := range memo.Schedules {
		r := shared
		state := stateIn(info, schedule, now)
		r.ID, r.State, r.EndedAt = postdate.GroupedScheduleID(group, schedule.Place), state.state, state.endedAt
		r.Type, r.Entity, r.To = schedule.Type, schedule.Entity, schedule.To
		r.DueAt, r.CreatedAt, r.place = schedule.DueAt, schedule.At, schedule.Place
		rows[n] = r
	}
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.ID, b.ID) })
	return rows, nil
}

// foundGroup is what was found in a ScheduleGroup: some of its schedules.
func foundGroup(rows []row) protocol.Found {
	info := rows[0].info
	_, group, _ := protocol.ParseScheduleGroupID(info.GetExecution().GetWorkflowId())
	found := protocol.Found{Group: group, Places: make([]int, len(rows))}
	waiting := 0
	for n, r := range rows {
		found.Places[n] = r.place
		if r.State == postdate.Cancelled {
			continue
		}
		if waiting == 0 || r.DueAt.Before(found.DueAt) {
			found.DueAt = r.DueAt
		}
		waiting++
	}
	if waiting == rows[0].waiting {
		found.Run = info.GetExecution().GetRunId()
	}
	return found
}

// errEnded says that a group has ended.
var errEnded = errors.New("the group has ended")

// updateScheduled sends an Update of the schedule at a place to its group. It reports whether
// the group carries the schedule: if it does not, the schedule has an execution of its own,
// or has ended.
func (s *Store) updateScheduled(ctx context.Context, workflowID string, place int, name string, args []any) (carried bool, err error) {
	request := protocol.ScheduleRequest{Place: place}
	if len(args) > 0 {
		request.Change, _ = args[0].(postdate.Change)
	}
	update := retry.NewUpdate(s.temporal, nil, workflowID, name, nil, request)
	err = s.whileItBegins(ctx, workflowID, update)
	refusal, refused := protocol.DecodeError(err)
	switch {
	case errors.Is(err, errEnded), refused && refusal.Code == postdate.NotFound:
		return false, nil
	case refused:
		return true, refusal
	default:
		return true, executions.Refused(err)
	}
}
