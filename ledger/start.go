package ledger

import (
	"context"
	"errors"
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
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// startTimeout bounds how long the engine may take to accept something.
const startTimeout = 10 * time.Second

// ErrExists is answered where an id is taken.
var ErrExists = errors.New("something of this id exists")

// Start starts a delivery of its own. Where its id is taken it answers [ErrExists].
func (l *Ledger) Start(ctx context.Context, in workflows.DeliverInput, told workflows.Accepted) (*Sight, error) {
	options := workflows.DeliverOptions(in, told, l.Now())
	if options.StartDelay == 0 {
		return l.start(ctx, in, told, options)
	}
	tenant, due := in.Shipment.Message.Tenant, in.Shipment.DueAt
	late := l.crowding.join(ctx, tenant, due)
	if !in.ExpiresAt.IsZero() {
		late = min(late, in.ExpiresAt.Sub(due)/2) // no crowd has it expire
	}
	if late > 0 {
		options.StartDelay = min(options.StartDelay+late, postdate.MaxDelay)
		options.TypedSearchAttributes = temporal.NewSearchAttributes(
			options.TypedSearchAttributes.Copy(), workflows.Crowd.ValueSet(workflows.CrowdOf(tenant, due)))
	}
	seen, err := l.start(ctx, in, told, options)
	if err != nil {
		l.crowding.leave(tenant, due)
		return nil, err
	}
	seen.Info.ExecutionTime = timestamppb.New(due.Add(late))
	return seen, nil
}

func (l *Ledger) start(
	ctx context.Context, in workflows.DeliverInput, told workflows.Accepted, options client.StartWorkflowOptions,
) (*Sight, error) {
	run, err := l.execute(ctx, options, workflows.DeliverName, in)
	if err != nil {
		return nil, err
	}
	seen := &Sight{
		Input: in, Accepted: told, Attempts: in.Attempts,
		Info: &workflowpb.WorkflowExecutionInfo{
			Execution:     &commonpb.WorkflowExecution{WorkflowId: run.GetID(), RunId: run.GetRunID()},
			Status:        enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING,
			ExecutionTime: timestamppb.New(in.Shipment.DueAt),
		},
	}
	return seen, l.readTimeout(ctx, seen)
}

// execute starts an execution. Once begun it is not broken off when the caller
// goes away: the engine may have handed us its first task by then, and that
// would be lost until it times out.
func (l *Ledger) execute(ctx context.Context, options client.StartWorkflowOptions, name string, in any) (client.WorkflowRun, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer stop()
	options.EnableEagerStart = l.EagerStart && options.StartDelay == 0 && options.TaskQueue == workflows.TaskQueue
	run, err := l.Temporal.ExecuteWorkflow(ctx, options, name, in)
	if _, exists := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); exists {
		return nil, ErrExists
	}
	return run, err
}

// StartDelivery starts a delivery of its own for what a group hands over. It is
// no error that it was started before.
func (l *Ledger) StartDelivery(ctx context.Context, h activities.Handover) error {
	in := workflows.DeliverInput{
		Shipment: h.Shipment, Retry: h.Retry, Attempts: h.Attempts, Handed: len(h.Attempts) > 0,
	}
	_, err := l.Start(ctx, in, workflows.Accepted{To: h.Shipment.To, At: h.At})
	if errors.Is(err, ErrExists) {
		return nil
	}
	return err
}

// Started tells whether a delivery has had an execution of its own.
func (l *Ledger) Started(ctx context.Context, tenant, id string) (bool, error) {
	_, err := l.describe(ctx, workflows.DeliveryID(tenant, id), id)
	if postdate.CodeOf(err) == postdate.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Retry starts a dead letter anew under the id it had. Of two requests at the
// same time one starts it: the engine allows only one run of an id.
func (l *Ledger) Retry(ctx context.Context, tenant, id string) (*Sight, error) {
	dead, err := l.Look(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	now := l.Now().UTC()
	if err := dead.mayRetry(now); err != nil {
		return nil, err
	}
	in := dead.Input
	in.Attempts, in.Handed, in.Plan = dead.Attempts, false, nil
	in.Shipment.DueAt = now
	options := workflows.DeliverOptions(in, dead.Accepted, now)
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	made, err := l.start(ctx, in, dead.Accepted, options)
	if errors.Is(err, ErrExists) {
		return nil, postdate.Errorf(postdate.Conflict, "", "somebody else has retried it just now")
	}
	if err != nil {
		return nil, err
	}
	if !dead.grouped {
		l.forget(ctx, dead)
	}
	return made, nil
}

// RetryDelivery is [Ledger.Retry].
func (l *Ledger) RetryDelivery(ctx context.Context, tenant, id string) error {
	_, err := l.Retry(ctx, tenant, id)
	return err
}

// forget deletes the run that was retried, so that lists show the delivery
// once. It has served: its attempts are the new run's. Where it fails, the
// retention does it later.
func (l *Ledger) forget(ctx context.Context, old *Sight) {
	run := old.Info.GetExecution()
	_, err := l.Temporal.WorkflowService().DeleteWorkflowExecution(context.WithoutCancel(ctx),
		&workflowservice.DeleteWorkflowExecutionRequest{Namespace: l.Namespace, WorkflowExecution: run})
	if err != nil {
		l.Log.WarnContext(ctx, "a run that was retried stays in lists", "workflow", run.GetWorkflowId(), "error", err)
	}
}
