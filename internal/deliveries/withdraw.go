package deliveries

import (
	"context"
	"errors"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// withdrawTimeout bounds the wait for a delivery that is being sent when it is withdrawn.
const withdrawTimeout = 10 * time.Second

// Withdraw cancels a delivery with an execution of its own as if it had not been started,
// and reports whether it did. It can be repeated. One that somebody else has cancelled
// stays cancelled.
func (s *Store) Withdraw(ctx context.Context, tenant, id string) (bool, error) {
	workflowID := protocol.DeliveryID(tenant, id)
	bounded, stop := context.WithTimeout(ctx, withdrawTimeout)
	defer stop()
	var cancelled protocol.UpdateResult
	var run string
	err := retry.With(bounded, func(ctx context.Context) error {
		handle, err := s.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
			UpdateID:     "withdraw", // known again when it is repeated
			WorkflowID:   workflowID,
			UpdateName:   protocol.UpdateCancel,
			WaitForStage: client.WorkflowUpdateStageCompleted,
		})
		if err == nil {
			run = handle.RunID()
			err = handle.Get(ctx, &cancelled)
		}
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			return s.whyNotFound(ctx, workflowID, id, err)
		}
		return err
	})
	_, refused := protocol.DecodeError(err)
	switch {
	case postdate.CodeOf(err) == postdate.NotFound:
		return true, nil // it was done before, and its run is deleted
	case errors.Is(err, errDeliveryEnded), refused, bounded.Err() != nil && ctx.Err() == nil:
		return false, nil // or it is being sent
	case err != nil:
		return false, err
	case cancelled.State != postdate.Cancelled:
		return false, nil
	}
	s.deleteRun(ctx, tenant, id, &commonpb.WorkflowExecution{WorkflowId: workflowID, RunId: run})
	return true, nil
}

var errDeliveryEnded = errors.New("the delivery has ended")

// whyNotFound is why an Update found no execution: err where a new run takes its place.
func (s *Store) whyNotFound(ctx context.Context, workflowID, id string, err error) error {
	described, failed := s.executions.Describe(ctx, workflowID, id)
	switch {
	case failed != nil:
		return failed
	case executions.IsRunning(described.GetWorkflowExecutionInfo()):
		return err
	}
	return errDeliveryEnded
}
