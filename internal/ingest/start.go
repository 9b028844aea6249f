package ingest

import (
	"cmp"
	"context"
	"errors"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Start starts the execution of one delivery. Where its id is taken it returns
// [executions.ErrExists].
func (i *Ingester) Start(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error) {
	return i.startOnce(ctx, in, accepted, protocol.DeliverOptions(in, accepted, i.now()))
}

// StartAgain is [Ingester.Start] for an id whose delivery was withdrawn.
func (i *Ingester) StartAgain(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) (postdate.Delivery, error) {
	options := protocol.DeliverOptions(in, accepted, i.now())
	options.WorkflowIDReusePolicy = enumspb.WORKFLOW_ID_REUSE_POLICY_ALLOW_DUPLICATE_FAILED_ONLY
	return i.startOnce(ctx, in, accepted, options)
}

func (i *Ingester) startOnce(
	ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted, options client.StartWorkflowOptions,
) (postdate.Delivery, error) {
	in.Shipment.Burst = nil
	if options.StartDelay == 0 {
		return i.start(ctx, in, accepted, options, 0)
	}
	tenant, due := in.Shipment.Message.Tenant, in.Shipment.DueAt
	delay, shows := i.bursts.delay(ctx, tenant, due)
	delay = beforeExpiry(delay, in)
	if in.Local == nil { // what is due at a local time may wake before
		in.Shipment.Burst = protocol.NewBurstStart(due.Add(delay), shows)
	}
	delayStart(&options, delay, protocol.BurstOf(tenant, due))
	delivery, err := i.start(ctx, in, accepted, options, delay)
	if err != nil {
		i.bursts.remove(tenant, due)
	}
	return delivery, err
}

// beforeExpiry is a delay that lets no delivery expire.
func beforeExpiry(delay time.Duration, in protocol.DeliverInput) time.Duration {
	if in.ExpiresAt.IsZero() {
		return delay
	}
	return min(delay, in.ExpiresAt.Sub(in.Shipment.DueAt)/2)
}

// delayStart delays a start that is one of a burst.
func delayStart(options *client.StartWorkflowOptions, delay time.Duration, burst string) {
	if delay > 0 {
		options.StartDelay = min(options.StartDelay+delay, postdate.MaxDelay)
		options.TypedSearchAttributes = temporal.NewSearchAttributes(
			options.TypedSearchAttributes.Copy(), protocol.AttrBurst.ValueSet(burst))
	}
}

func (i *Ingester) start(
	ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted, options client.StartWorkflowOptions, delay time.Duration,
) (postdate.Delivery, error) {
	tenant, err := i.tenants.Tenant(ctx, in.Shipment.Message.Tenant)
	if err != nil {
		return postdate.Delivery{}, err
	}
	delivery := in.Delivery(accepted, tenant)
	options.WorkflowTaskTimeout = protocol.TaskTimeout(delivery.Timeout.Duration())
	run, err := i.executions.Start(ctx, options, protocol.DeliverWorkflow, in)
	if err != nil {
		return postdate.Delivery{}, err
	}
	protocol.SetUnstarted(&delivery, delay, i.now())
	delivery.Execution = postdate.Execution{WorkflowID: run.GetID(), RunID: run.GetRunID()}
	return delivery, nil
}

// StartDelivery starts the execution of a delivery that leaves its group. That it was
// started before is no error.
func (i *Ingester) StartDelivery(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) error {
	_, err := i.Start(ctx, in, accepted)
	if errors.Is(err, executions.ErrExists) {
		return nil
	}
	return err
}

// Started reports whether a delivery has had an execution of its own.
func (i *Ingester) Started(ctx context.Context, tenant, id string) (bool, error) {
	return i.executions.Exists(ctx, protocol.DeliveryID(tenant, id))
}

// StartDispatch starts a Dispatch of that workflow id. It is no error that it was started
// before.
func (i *Ingester) StartDispatch(ctx context.Context, workflowID string, in protocol.DispatchInput) error {
	err := i.startDispatch(ctx, workflowID, in)
	if errors.Is(err, executions.ErrExists) {
		return nil
	}
	return err
}

// startDispatch is [Ingester.StartDispatch] without that: it returns [executions.ErrExists]
// where it was started before.
func (i *Ingester) startDispatch(ctx context.Context, workflowID string, in protocol.DispatchInput) error {
	options := protocol.DispatchOptions(workflowID, in)
	if event := in.Events[0]; len(in.Events) == 1 && len(event.Endpoints) == 1 {
		tenant, err := i.tenants.Tenant(ctx, event.Message.Tenant)
		if err != nil {
			return err
		}
		endpoint, _ := tenant.Endpoint(event.Endpoints[0])
		options.WorkflowTaskTimeout = protocol.TaskTimeout(cmp.Or(event.OwnTimeout, endpoint.Timeout).Duration())
	}
	_, err := i.executions.Start(ctx, options, protocol.DispatchWorkflow, in)
	return err
}
