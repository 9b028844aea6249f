package deliveries

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// PostponeDelivery puts off a delivery that is not due yet, once for an operation that
// began at a time: it leaves alone what was started or rescheduled since, by the operation
// itself or by others. What would expire before it is due stays as it is.
//
// A delivery that is rescheduled continues as a new run. So the Update is sent to the run
// that was read, which takes it once, however often the operation is repeated.
func (s *Store) PostponeDelivery(ctx context.Context, tenant, id, operation string, began time.Time, by time.Duration) error {
	read, err := s.read(ctx, tenant, id)
	if err != nil {
		return err
	}
	if read.scheduled == nil && asTime(read.info.GetStartTime()).After(began) {
		return nil
	}
	now := s.now()
	if state := read.state(now); state != postdate.Scheduled {
		return postdate.Errorf(postdate.Conflict, "", "only what is not due yet can be put off, and this is %s", state)
	}
	if read.scheduled != nil {
		return s.postponeInGroup(ctx, tenant, id, operation, by)
	}
	due := read.input.Shipment.DueAt.Add(by)
	change := postdate.Change{DueAt: &due}
	if err := change.Validate(now, read.input.ExpiresAt); err != nil {
		return postdate.Errorf(postdate.Conflict, "", "%s", err)
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	run := read.info.GetExecution()
	handle, err := s.temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		UpdateID: operation, WorkflowID: run.GetWorkflowId(), RunID: run.GetRunId(),
		UpdateName: protocol.UpdateReschedule, Args: []any{change}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	if _, over := errors.AsType[*serviceerror.NotFound](err); over {
		return errPostponeLate // it is read again
	}
	return executions.Refused(err)
}

// postponeInGroup puts off a schedule that shares an execution.
func (s *Store) postponeInGroup(ctx context.Context, tenant, id, operation string, by time.Duration) error {
	group, place, _ := postdate.SplitGroupedScheduleID(id)
	changed, err := s.PostponeGrouped(ctx, tenant, group, []int{place}, operation, by)
	switch {
	case err != nil:
		return err
	case len(changed.Moved) > 0:
		return errPostponeLate
	case len(changed.Done) == 0:
		return postdate.Errorf(postdate.Conflict, "", "only what is not due yet can be put off, to before it expires")
	default:
		return nil
	}
}

// errPostponeLate says that the run which was read has ended before it took the Update.
var errPostponeLate error = postdate.Errorf(postdate.Unavailable, "", "it is being restarted, or it has just ended")
