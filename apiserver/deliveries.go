package apiserver

import (
	"context"
	"errors"
	"net/url"
	"strings"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

const (
	// startTimeout bounds how long the engine may take to accept something.
	startTimeout = 10 * time.Second
	// updateTimeout bounds the wait for an Update. An attempt that is under way
	// is waited for.
	updateTimeout = postdate.MaxTimeout + 10*time.Second
)

// GetDelivery shows a delivery.
func (s *server) GetDelivery(ctx context.Context, r GetDeliveryRequestObject) (GetDeliveryResponseObject, error) {
	found, err := s.look(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetDelivery200JSONResponse(found.face(s.Now())), nil
}

// ListDeliveries lists deliveries.
func (s *server) ListDeliveries(ctx context.Context, r ListDeliveriesRequestObject) (ListDeliveriesResponseObject, error) {
	page, err := s.list(ctx, r.Params)
	if err != nil {
		return nil, err
	}
	return ListDeliveries200JSONResponse(page), nil
}

// CancelDelivery cancels a delivery, unless it ends otherwise first.
func (s *server) CancelDelivery(ctx context.Context, r CancelDeliveryRequestObject) (CancelDeliveryResponseObject, error) {
	if err := s.cancel(ctx, r.ID); err != nil {
		return nil, err
	}
	return CancelDelivery200JSONResponse{State: postdate.Cancelled}, nil
}

// RetryDelivery starts a dead letter anew under the id it had. Of two requests
// at the same time one starts it: the engine allows only one run of an id.
func (s *server) RetryDelivery(ctx context.Context, r RetryDeliveryRequestObject) (RetryDeliveryResponseObject, error) {
	dead, err := s.look(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	now := s.Now().UTC()
	if err := dead.mayRetry(now); err != nil {
		return nil, err
	}
	in := dead.in
	in.Attempts = dead.attempts
	in.Shipment.DueAt = now
	made, err := s.start(ctx, in, dead.told, enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY)
	if _, exists := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); exists {
		return nil, postdate.Errorf(postdate.Conflict, "", "somebody else has retried it just now")
	}
	if err != nil {
		return nil, err
	}
	s.forget(ctx, dead)
	return RetryDelivery200JSONResponse(made.face(now)), nil
}

// start starts the execution that carries in. Once begun it is not broken off
// when the caller goes away: the engine may have handed us its first task by
// then, and that would be lost until it times out.
func (s *server) start(
	ctx context.Context, in workflows.DeliverInput, told workflows.Accepted, reuse enumspb.WorkflowIdReusePolicy,
) (*sight, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer stop()
	message, due, now := in.Shipment.Message, in.Shipment.DueAt, s.Now()
	attributes := []temporal.SearchAttributeUpdate{
		workflows.Tenant.ValueSet(message.Tenant),
		workflows.MessageType.ValueSet([]string{message.Type}),
	}
	if message.Entity != "" {
		attributes = append(attributes, workflows.Entity.ValueSet([]string{message.Entity}))
	}
	run, err := s.Temporal.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
		ID:                                       workflows.ScheduleID(message.Tenant, message.ID),
		TaskQueue:                                workflows.TaskQueue,
		StartDelay:                               max(0, due.Sub(now)),
		EnableEagerStart:                         s.EagerStart && !due.After(now),
		WorkflowIDReusePolicy:                    reuse,
		WorkflowIDConflictPolicy:                 enumspb.WORKFLOW_ID_CONFLICT_POLICY_FAIL,
		WorkflowExecutionErrorWhenAlreadyStarted: true,
		TypedSearchAttributes:                    temporal.NewSearchAttributes(attributes...),
		Memo:                                     map[string]any{workflows.MemoAccepted: told},
		StaticSummary:                            summary(message.Type, in.Shipment.To),
	}, workflows.DeliverName, in)
	if err != nil {
		return nil, err
	}
	return &sight{
		server: s, in: in, told: told, attempts: in.Attempts,
		info: &workflowpb.WorkflowExecutionInfo{
			Execution:     &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
			Status:        enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
			ExecutionTime: timestamppb.New(due),
		},
	}, nil
}

// summary is a line for the Web UI: what goes where. It tells the host alone,
// for a path may be a secret, and is short, for the engine takes 400 bytes,
// encrypted.
func summary(messageType string, to postdate.Destination) string {
	text := messageType
	if u, err := url.Parse(to.URL); err == nil {
		text += " → " + u.Hostname()
	}
	return strings.ToValidUTF8(text[:min(len(text), 200)], "")
}

// forget deletes the run that was retried, so that lists show the delivery
// once. It has served: its attempts are the new run's. Where it fails, the
// retention does it later.
func (s *server) forget(ctx context.Context, old *sight) {
	_, err := s.Temporal.WorkflowService().DeleteWorkflowExecution(context.WithoutCancel(ctx),
		&workflowservice.DeleteWorkflowExecutionRequest{Namespace: s.Namespace, WorkflowExecution: old.info.GetExecution()})
	if err != nil {
		s.Log.WarnContext(ctx, "a run that was retried stays in lists", "workflow", old.info.GetExecution().GetWorkflowId(), "error", err)
	}
}

// cancel cancels the delivery id, or finds it cancelled.
func (s *server) cancel(ctx context.Context, id string) error {
	err := s.update(ctx, id, workflows.UpdateCancel)
	if postdate.CodeOf(err) == postdate.Conflict {
		if found, lookErr := s.look(ctx, id); lookErr == nil && found.state(s.Now()) == postdate.Cancelled {
			return nil
		}
	}
	return err
}

// update has the running delivery id do what the Update called name says, and
// answers when it is done or refused. The caller may go away meanwhile: it is
// done all the same, and the same request finds that.
func (s *server) update(ctx context.Context, id, name string, args ...any) error {
	workflowID, err := workflowID(ctx, id)
	if err != nil {
		return err
	}
	polling, err := s.WorkerPolling(ctx)
	if err != nil {
		return err
	}
	if !polling {
		// Only what exists can wait for a worker.
		if _, err := s.look(ctx, id); err != nil {
			return err
		}
		return postdate.Errorf(postdate.Unavailable, "", "no worker is running that could do it")
	}
	ctx, stop := context.WithTimeout(ctx, updateTimeout)
	defer stop()
	handle, err := s.Temporal.UpdateWorkflow(ctx, client.UpdateWorkflowOptions{
		WorkflowID: workflowID, UpdateName: name, Args: args,
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(ctx, nil)
	}
	return s.refused(ctx, id, err)
}

// refused says why an Update of the delivery id was not carried out, if err
// says so.
func (s *server) refused(ctx context.Context, id string, err error) error {
	told, isRefusal := workflows.Refusal(err)
	_, isOver := errors.AsType[*serviceerror.NotFound](err)
	_, isLate := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err)
	switch {
	case err == nil:
		return nil
	case isRefusal && statusOf[told.Code] != 0:
		return told
	case isLate:
		return postdate.Errorf(postdate.Unavailable, "", "no worker has done it in time: it may still be done, so ask for it, or try again")
	case !isRefusal && !isOver:
		return err
	}
	// It has ended, before the Update or while it waited.
	found, err := s.look(ctx, id)
	if err != nil {
		return err
	}
	if state := found.state(s.Now()); state.Over() {
		return postdate.Errorf(postdate.Conflict, "", "already %s", state)
	}
	return postdate.Errorf(postdate.Unavailable, "", "it is being started anew: try again")
}

// workflowID is the execution that carries the tenant's delivery id.
func workflowID(ctx context.Context, id string) (string, error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return "", err
	}
	return workflows.ScheduleID(tenantOf(ctx), id), nil
}
