package deliveries

import (
	"cmp"
	"context"
	"fmt"

	"go.temporal.io/api/workflowservice/v1"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// CountImport counts the schedules of an import in each state, by Temporal's own counts: it
// reads none of them. What is in no state at the moment is left out, and an import that has
// none at all is not known.
func (s *Store) CountImport(ctx context.Context, tenant, name string) (map[postdate.State]int, error) {
	if err := postdate.ValidateImport("/name", name); err != nil {
		return nil, err
	}
	leave, err := s.listing.enter(ctx, tenant)
	if err != nil {
		return nil, err
	}
	defer leave()
	now, counts := s.now(), make([]int, len(postdate.States))
	of := fmt.Sprintf("%s AND %s AND WorkflowType = %s", executions.Equals(protocol.AttrTenant, tenant),
		executions.Equals(protocol.AttrImport, name), executions.Quote(protocol.DeliverWorkflow))
	counting, ctx := errgroup.WithContext(ctx)
	for i, state := range postdate.States {
		counting.Go(func() error {
			counted, err := s.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
				Namespace: s.executions.Namespace(), Query: of + " AND " + cmp.Or(ownCondition(state), conditionOf(state, now)),
			})
			counts[i] = int(counted.GetCount())
			return err
		})
	}
	if err := counting.Wait(); err != nil {
		return nil, fmt.Errorf("count the schedules of an import: %w", err)
	}
	byState := make(map[postdate.State]int)
	for i, state := range postdate.States {
		if counts[i] > 0 {
			byState[state] = counts[i]
		}
	}
	if len(byState) == 0 {
		return nil, executions.Unknown(name)
	}
	return byState, nil
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
