package deliveries

import (
	"cmp"
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/google/uuid"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// CancelGrouped cancels schedules of a group for an operation: by one write where those are all
// that wait in it and none is due soon, and otherwise by one Update. Those that are not in it
// any more are among the moved: each is to be cancelled by itself.
func (s *Store) CancelGrouped(ctx context.Context, tenant, group string, places []int, operation string) (protocol.SchedulesChanged, error) {
	if changed, done, err := s.cancelWhole(ctx, protocol.ScheduleGroupID(tenant, group), places, operation); done || err != nil {
		return changed, err
	}
	return s.changeGrouped(ctx, tenant, group, protocol.UpdateCancelMany, protocol.SchedulesRequest{Places: places})
}

// PostponeGrouped puts off schedules of a group by one Update, once for an operation, however
// often that is repeated. Those that are not in it any more are among the moved.
func (s *Store) PostponeGrouped(
	ctx context.Context, tenant, group string, places []int, operation string, by time.Duration,
) (protocol.SchedulesChanged, error) {
	return s.changeGrouped(ctx, tenant, group, protocol.UpdatePostponeMany, protocol.SchedulesRequest{
		Places: places, By: postdate.Duration(by), Operation: operation,
	})
}

func (s *Store) changeGrouped(
	ctx context.Context, tenant, group, name string, request protocol.SchedulesRequest,
) (changed protocol.SchedulesChanged, err error) {
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	workflowID := protocol.ScheduleGroupID(tenant, group)
	options := client.UpdateWorkflowOptions{
		UpdateID:   cmp.Or(request.Operation, uuid.NewString()), // the same on every try
		WorkflowID: workflowID, UpdateName: name, Args: []any{request}, WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	err = s.whileItBegins(ctx, workflowID, func(ctx context.Context) error {
		handle, err := s.temporal.UpdateWorkflow(ctx, options)
		if err != nil {
			return err
		}
		return handle.Get(ctx, &changed)
	})
	refusal, refused := protocol.DecodeError(err)
	switch {
	case errors.Is(err, errEnded), refused && (refusal.Code == postdate.NotFound || refusal.Code == postdate.Conflict):
		return protocol.SchedulesChanged{Moved: request.Places}, nil
	default:
		return changed, executions.Refused(err)
	}
}

// whileItBegins sends an Update to a group. Of many that come at once Temporal refuses some,
// and all while the group begins a run. Where the group has ended it returns [errEnded].
func (s *Store) whileItBegins(ctx context.Context, workflowID string, update func(context.Context) error) error {
	return retry.With(ctx, func(ctx context.Context) error {
		err := update(ctx)
		if _, over := errors.AsType[*serviceerror.NotFound](err); !over && !isCutOff(err) {
			return err
		}
		described, descErr := s.executions.Describe(ctx, workflowID, workflowID)
		if descErr == nil && executions.IsRunning(described.GetWorkflowExecutionInfo()) {
			return serviceerror.NewUnavailable("the group begins a run")
		}
		return errEnded
	})
}

// isCutOff reports whether an Update that was under way failed because its run has ended.
func isCutOff(err error) bool {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	return ok && app.Type() == "AcceptedUpdateCompletedWorkflow"
}
