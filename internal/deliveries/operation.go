package deliveries

import (
	"context"
	"errors"
	"fmt"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// StartOperation starts an operation on all deliveries that a filter matches. It goes
// on whether or not anybody waits for it. Where its id is taken it returns
// [executions.ErrExists].
func (s *Store) StartOperation(ctx context.Context, tenant, id string, in protocol.SweepInput) error {
	_, err := s.executions.Start(ctx, protocol.SweepOptions(tenant, id), protocol.SweepWorkflow, in)
	return err
}

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
