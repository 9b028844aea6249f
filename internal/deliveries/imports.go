package deliveries

import (
	"cmp"
	"context"
	"fmt"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// CountImport counts the schedules of an import in each state. Those with executions of
// their own are counted by Temporal, which reads none of them; of those that share one it
// reads what the tally of that says. What is in no state at the moment is left out, and an
// import that has none at all is not known.
func (s *Store) CountImport(ctx context.Context, tenant, name string) (map[postdate.State]int, error) {
	if err := postdate.ValidateImport("/name", name); err != nil {
		return nil, err
	}
	leave, err := s.listing.enter(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer leave()
	var own, shared map[postdate.State]int
	counting, ctx := errgroup.WithContext(ctx)
	counting.Go(func() (err error) { own, err = s.countOwn(ctx, tenant, name); return err })
	counting.Go(func() (err error) { shared, err = s.countShared(ctx, tenant, name); return err })
	if err := counting.Wait(); err != nil {
		return nil, fmt.Errorf("count the schedules of an import: %w", err)
	}
	byState := make(map[postdate.State]int)
	for _, state := range postdate.States {
		if n := own[state] + shared[state]; n > 0 {
			byState[state] = n
		}
	}
	if len(byState) == 0 {
		return nil, executions.Unknown(name)
	}
	return byState, nil
}

// importCondition is the condition for executions that carry schedules of an import, and are
// of a type.
func importCondition(tenant, name, workflow string) string {
	return fmt.Sprintf("%s AND %s AND WorkflowType = %s", executions.Equals(protocol.AttrTenant, tenant),
		executions.Equals(protocol.AttrImport, name), executions.Quote(workflow))
}

// countOwn counts the schedules of an import that have executions of their own.
func (s *Store) countOwn(ctx context.Context, tenant, name string) (map[postdate.State]int, error) {
	now, counts := s.now(), make([]int, len(postdate.States))
	of := importCondition(tenant, name, protocol.DeliverWorkflow)
	counting, ctx := errgroup.WithContext(ctx)
	for i, state := range postdate.States {
		counting.Go(func() (err error) {
			counts[i], err = s.count(ctx, of+" AND "+cmp.Or(ownCondition(state), conditionOf(state, now)))
			return err
		})
	}
	if err := counting.Wait(); err != nil {
		return nil, err
	}
	byState := make(map[postdate.State]int)
	for i, state := range postdate.States {
		byState[state] = counts[i]
	}
	return byState, nil
}

// count is how many executions a query matches.
func (s *Store) count(ctx context.Context, query string) (int, error) {
	counted, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: s.executions.Namespace(), Query: query,
	})
	return int(counted.GetCount()), err
}

// countShared counts the schedules of an import that share executions.
func (s *Store) countShared(ctx context.Context, tenant, name string) (map[postdate.State]int, error) {
	byState := make(map[postdate.State]int)
	p := &pager{
		store: s, now: s.now(), window: firstWindow, wanted: maxPage / 2,
		filter: postdate.Filter{Tenant: tenant, Import: name, SchedulesOnly: true}, groupsOnly: true,
	}
	for {
		found, err := p.next(ctx)
		if err != nil || len(found) == 0 {
			return byState, err
		}
		for _, info := range newestRuns(found) {
			if err := s.countGroup(ctx, tenant, info, p.now, byState); err != nil {
				return nil, err
			}
		}
	}
}

// countGroup adds the schedules that a group carries to those in each state. While it sends
// each has its own, and what left a group that was ended is looked for: else its tally tells.
func (s *Store) countGroup(ctx context.Context, tenant string, info *workflowpb.WorkflowExecutionInfo, now time.Time, byState map[postdate.State]int) error {
	_, tallied := info.GetMemo().GetFields()[protocol.MemoTally]
	sends := executions.IsRunning(info) && !asTime(info.GetExecutionTime()).After(now)
	if tallied && !sends && !isUnsettled(info) {
		var tally protocol.ScheduleTally
		if err := s.executions.ReadMemo(info, protocol.MemoTally, &tally); err != nil {
			return err
		}
		rest := stateIn(info, protocol.GroupedSchedule{}, now)
		byState[postdate.Cancelled] += tally.Cancelled
		byState[rest.state] += tally.Carried - tally.Cancelled
		return nil
	}
	rows, err := s.scheduleGroupRows(tenant, info, now)
	if err == nil && isUnsettled(info) {
		rows, err = s.withoutMoved(ctx, tenant, rows)
	}
	for _, r := range rows {
		byState[r.State]++
	}
	return err
}

// importAge is from which age on it is possible that executions of an import were deleted:
// Temporal keeps what has ended for longer.
const importAge = time.Hour

// IsImportAged reports whether schedules of an import were created so long ago that others
// may have been delivered and deleted since.
func (s *Store) IsImportAged(ctx context.Context, tenant, name string) (bool, error) {
	if name == "" {
		return false, nil
	}
	n, err := s.count(ctx, importCondition(tenant, name, protocol.ScheduleGroupWorkflow)+
		" AND StartTime < "+executions.QuoteTime(s.now().Add(-importAge)))
	if err != nil {
		return false, fmt.Errorf("look for an import: %w", err)
	}
	return n > 0, nil
}

// ownCondition is the condition for deliveries with executions of their own that are in a
// state, where [conditionOf] is met by others too, for the sake of lines: empty where it is
// not.
func ownCondition(state postdate.State) string {
	switch state {
	case postdate.Waiting, postdate.Retrying:
		return "ExecutionStatus = 'Running' AND " + executions.Equals(protocol.AttrState, string(state))
	case postdate.Delivered:
		return "ExecutionStatus = 'Completed'"
	case postdate.Cancelled:
		return "ExecutionStatus IN ('Canceled', 'Terminated')"
	default:
		return ""
	}
}
