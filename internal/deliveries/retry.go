package deliveries

import (
	"context"
	"errors"
	"log/slog"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Retry starts a dead letter again under the id it had. Of two requests at the same
// time one starts it: Temporal allows one open run of an id.
func (s *Store) Retry(ctx context.Context, tenant, id string) (postdate.Delivery, error) {
	dead, err := s.read(ctx, tenant, id)
	if err != nil {
		return postdate.Delivery{}, err
	}
	now := s.now().UTC()
	if err := dead.validateRetry(now); err != nil {
		return postdate.Delivery{}, err
	}
	in := dead.input
	in.Attempts, in.Handed, in.Fired, in.Plan = dead.attempts, false, false, nil
	in.Shipment.DueAt, in.Shipment.Burst = now, nil
	options := protocol.DeliverOptions(in, dead.accepted, now)
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	delivery := in.Delivery(dead.accepted, dead.tenant)
	options.WorkflowTaskTimeout = protocol.TaskTimeout(delivery.Timeout.Duration())
	run, err := s.executions.Start(ctx, options, protocol.DeliverWorkflow, in)
	if errors.Is(err, executions.ErrExists) {
		return postdate.Delivery{}, postdate.Errorf(postdate.Conflict, "", "it was retried just now by another request")
	}
	if err != nil {
		return postdate.Delivery{}, err
	}
	if !dead.grouped && dead.scheduled == nil {
		s.deleteRun(ctx, tenant, id, dead.info.GetExecution())
	}
	protocol.SetUnstarted(&delivery, 0, now)
	delivery.Execution = postdate.Execution{WorkflowID: run.GetID(), RunID: run.GetRunID()}
	return delivery, nil
}

// RetryDelivery is [Store.Retry].
func (s *Store) RetryDelivery(ctx context.Context, tenant, id string) error {
	_, err := s.Retry(ctx, tenant, id)
	return err
}

// deleteRun deletes a run of a delivery that another one replaces, so that lists show the
// delivery once. Where it fails, the retention does it later.
func (s *Store) deleteRun(ctx context.Context, tenant, id string, run *commonpb.WorkflowExecution) {
	_, err := s.temporal.WorkflowService().DeleteWorkflowExecution(context.WithoutCancel(ctx),
		&workflowservice.DeleteWorkflowExecutionRequest{Namespace: s.executions.Namespace(), WorkflowExecution: run})
	if err != nil {
		s.log.LogAttrs(ctx, slog.LevelWarn, "failed to delete a run that was replaced: lists show it beside the new one",
			slog.String("tenant", tenant), slog.String("delivery", id), slog.String("error", err.Error()))
	}
}
