package deliveries

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// StartOperation starts an operation on all deliveries that a filter matches. It goes
// on whether or not its caller waits for it. Where its id is taken it returns
// [executions.ErrExists], and where another operation of the tenant runs a
// [postdate.Conflict]: one at a time, so that no tenant takes all slots.
func (s *Store) StartOperation(ctx context.Context, tenant, id string, in protocol.SweepInput) error {
	leave, err := s.operations.starting.enter(ctx, tenant)
	if err != nil {
		return err
	}
	defer leave()
	running, err := s.runningOperation(ctx, tenant)
	if err != nil {
		return err
	}
	if running != "" && running != id {
		return postdate.Errorf(postdate.Conflict, "", "%s is under way, and a tenant has one operation at a time: wait until it has finished", running)
	}
	_, err = s.executions.Start(ctx, protocol.SweepOptions(tenant, id), protocol.SweepWorkflow, in)
	if err == nil {
		s.operations.last.Store(tenant, id)
	}
	return err
}

// operations are those that this process started last: Temporal's list of those that run
// is a little behind.
type operations struct {
	starting *bound   // one at a time for each tenant
	last     sync.Map // ids, by tenant
}

// runningOperation is the id of an operation of the tenant that runs: empty where none
// does. The operations by which endpoints are enabled and deleted do not count.
func (s *Store) runningOperation(ctx context.Context, tenant string) (string, error) {
	if known, ok := s.operations.last.Load(tenant); ok {
		last, _ := known.(string)
		if running, err := s.isOperationRunning(ctx, tenant, last); err != nil || running {
			return last, err
		}
		s.operations.last.Delete(tenant)
	}
	page, err := s.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: s.executions.Namespace(), PageSize: maxOperations,
		Query: executions.Equals(protocol.AttrTenant, tenant) + " AND WorkflowType = " + executions.Quote(protocol.SweepWorkflow) +
			" AND ExecutionStatus = 'Running' AND WorkflowId STARTS_WITH " + executions.Quote(protocol.SweepID(tenant, operationPrefix)),
	})
	if err != nil {
		return "", err
	}
	for _, listed := range page.GetExecutions() {
		id := strings.TrimPrefix(listed.GetExecution().GetWorkflowId(), protocol.SweepID(tenant, ""))
		if running, err := s.isOperationRunning(ctx, tenant, id); err != nil || running {
			return id, err
		}
	}
	return "", nil
}

// maxOperations bounds the operations of a tenant that the list shows as running: one is,
// and the list may be behind with a few before it.
const maxOperations = 5

// isOperationRunning reports whether an operation runs, by what is true now.
func (s *Store) isOperationRunning(ctx context.Context, tenant, id string) (bool, error) {
	described, err := s.executions.Describe(ctx, protocol.SweepID(tenant, id), id)
	switch {
	case err == nil:
		return executions.IsRunning(described.GetWorkflowExecutionInfo()), nil
	case postdate.CodeOf(err) == postdate.NotFound:
		return false, nil
	default:
		return false, err
	}
}

// operationPrefix begins the ids of the operations that callers start.
const operationPrefix = "swp_"

// GetOperation returns how far an operation is, and whether it has finished.
func (s *Store) GetOperation(ctx context.Context, tenant, id string) (progress protocol.SweepProgress, finished bool, err error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return progress, false, err
	}
	workflowID := protocol.SweepID(tenant, id)
	described, err := s.executions.Describe(ctx, workflowID, id)
	if err != nil {
		return progress, false, err
	}
	info := described.GetWorkflowExecutionInfo()
	if executions.IsRunning(info) {
		for _, pending := range described.GetPendingActivities() {
			if details := pending.GetHeartbeatDetails(); details != nil {
				err = errors.Join(err, s.executions.Decode(details, &progress))
			}
		}
		return progress, false, err
	}
	end, err := s.executions.LastEvent(ctx, info.GetExecution())
	if err != nil {
		return progress, true, fmt.Errorf("read the end of %s: %w", workflowID, err)
	}
	if result := end.GetWorkflowExecutionCompletedEventAttributes().GetResult(); result != nil {
		err = s.executions.Decode(result, &progress)
	}
	return progress, true, err
}
