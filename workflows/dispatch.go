package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Dispatch sends events to their subscribers. It makes all first attempts in parallel,
// in one execution; what does not succeed at once continues as a Deliver of its own.
//
// It ignores a request to cancel it, as Temporal's Web UI sends: its deliveries are
// cancelled one by one, once they have a Deliver.
func Dispatch(ctx workflow.Context, in protocol.DispatchInput) (*protocol.DispatchResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)

	// Split. What is too much for one execution goes to further ones.
	parts := in.Parts()
	if err := startParts(ctx, in, parts); err != nil {
		return nil, err
	}
	d := dispatch{DispatchInput: parts[0]}

	// Try.
	d.sendGroup(ctx)

	// Enqueue what no permit came for, where that has not been done yet.
	if len(d.toQueue) > 0 {
		if err := d.queue(ctx); err != nil {
			return nil, err
		}
	}

	// Hand over what was not accepted at once.
	if len(d.undelivered) > 0 {
		if err := handOver(ctx, protocol.HandOverInput{Messages: d.undeliveredMessages(), Items: d.undelivered, At: d.At}); err != nil {
			return nil, err
		}
	}
	if len(d.result.Queued)+len(d.undelivered) > 0 {
		if err := d.showDelivered(ctx); err != nil {
			return nil, err
		}
	}
	if len(d.undelivered) == 0 && d.slow {
		settle(ctx)
	}
	return &d.result, nil
}

// dispatch is the state of a Dispatch execution.
type dispatch struct {
	protocol.DispatchInput // its own part

	result      protocol.DispatchResult
	toQueue     []protocol.GroupItem   // to be enqueued
	canaries    []string               // for which, of toQueue: empty for the endpoint itself
	undelivered []protocol.Undelivered // to continue as a Deliver each
	slow        bool                   // an attempt took long, and is not recorded yet
}

// maxPartsBytes bounds the size of the parts that are started in one workflow task:
// Temporal takes 4 MB in a request.
const maxPartsBytes = 1 << 20

// startParts starts an execution for each part but the first, and waits until all are
// started.
func startParts(ctx workflow.Context, in protocol.DispatchInput, parts []protocol.DispatchInput) error {
	if len(parts) == 1 {
		return nil
	}
	if workflow.GetVersion(ctx, "parts-are-not-children", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		startChildren(ctx, parts)
		return nil
	}
	return runDurably(ctx, protocol.StartPartsActivity, in, nil)
}

// startChildren starts the parts as children. Executions do so that began before
// startParts could do it otherwise.
func startChildren(ctx workflow.Context, parts []protocol.DispatchInput) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	var starting []workflow.Future
	size := 0
	for n := 1; n < len(parts); n++ {
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, protocol.PartOptions(protocol.PartID(id, n), parts[n])), protocol.DispatchWorkflow, parts[n])
		starting = append(starting, child.GetChildWorkflowExecution())
		if size += parts[n].Size(); size >= maxPartsBytes || n == len(parts)-1 {
			for _, started := range starting {
				_ = started.Get(ctx, nil) // fails only where it was started before
			}
			starting, size = nil, 0
		}
	}
}

// sendGroup makes the first attempts, in a single local activity: nothing is recorded
// for them but their results. Where that activity is lost as a whole, a Deliver makes
// the first attempt at each delivery.
func (d *dispatch) sendGroup(ctx workflow.Context) {
	items := d.Own()
	if len(items) == 0 {
		return
	}
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: postdate.MaxTimeout + activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	attempts := make([]protocol.GroupAttempt, len(items))
	group := protocol.GroupInput{Messages: d.messages(), Items: items, At: d.At, Of: d.Of}
	var results []protocol.GroupAttempt
	if err := workflow.ExecuteLocalActivity(ctx, protocol.SendGroupActivity, group).Get(ctx, &results); err == nil {
		copy(attempts, results)
	}
	for i, item := range items {
		d.slow = d.slow || isSlow(attempts[i].Attempt)
		if attempts[i].Outcome == postdate.Accepted {
			d.result.Delivered = append(d.result.Delivered, protocol.GroupDelivery{Event: item.Event, Endpoint: item.Endpoint, Attempt: attempts[i].Attempt})
			continue
		}
		if line := attempts[i].Line; line != "" {
			d.result.Queued = append(d.result.Queued, protocol.QueuedDelivery{Event: item.Event, Endpoint: item.Endpoint, Line: line})
			continue
		}
		if attempts[i].Outcome == protocol.NoPermit {
			d.toQueue, d.canaries = append(d.toQueue, item), append(d.canaries, attempts[i].Canary)
			continue
		}
		undelivered := protocol.Undelivered{GroupItem: item}
		if protocol.Attempted(attempts[i].Outcome) {
			undelivered.Attempts = postdate.Attempts{}.Append(attempts[i].Attempt)
		}
		d.undelivered = append(d.undelivered, undelivered)
	}
}

// queue enqueues the deliveries for which no permit came.
func (d *dispatch) queue(ctx workflow.Context) error {
	requests, messages := make([]protocol.EnqueueRequest, len(d.toQueue)), d.messages()
	for i, item := range d.toQueue {
		requests[i] = item.EnqueueRequest(messages, d.At, d.canaries[i])
	}
	var lines []string
	if err := runDurably(ctx, protocol.QueueActivity, requests, &lines); err != nil {
		return err
	}
	for i, item := range d.toQueue {
		d.result.Queued = append(d.result.Queued, protocol.QueuedDelivery{Event: item.Event, Endpoint: item.Endpoint, Line: lines[i]})
	}
	return nil
}

// handOver starts a Deliver for each delivery that leaves a group or a line. Temporal
// retries it until that is done.
func handOver(ctx workflow.Context, in protocol.HandOverInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	return workflow.ExecuteActivity(ctx, protocol.HandOverActivity, in).Get(ctx, nil)
}

// showDelivered updates the memo and the search attributes to what was delivered here.
// It comes after all else has moved: for a moment a delivery is in two executions, and
// never in none. Where deliveries left for a line alone the memo suffices: each search
// attribute that is set is a write, and there may be hundreds in a second.
func (d *dispatch) showDelivered(ctx workflow.Context) error {
	kept := d.delivered()
	if len(d.undelivered) > 0 {
		_ = workflow.UpsertTypedSearchAttributes(ctx, kept.Lists()...) // fails only without any attribute
	}
	return workflow.UpsertMemo(ctx, map[string]any{protocol.MemoGroup: kept.Group()})
}

func (d *dispatch) messages() []postdate.Message {
	messages := make([]postdate.Message, len(d.Events))
	for i, event := range d.Events {
		messages[i] = event.Message
	}
	return messages
}

// undeliveredMessages are the messages with undelivered items, in their places.
func (d *dispatch) undeliveredMessages() []postdate.Message {
	messages := make([]postdate.Message, len(d.Events))
	for _, item := range d.undelivered {
		messages[item.Event] = d.Events[item.Event].Message
	}
	return messages
}

// delivered is the part of the input that was delivered here.
func (d *dispatch) delivered() protocol.DispatchInput {
	kept := protocol.DispatchInput{Digest: d.Digest, At: d.At}
	for _, event := range d.Events {
		kept.Events = append(kept.Events, protocol.Publication{Message: event.Message})
	}
	for _, done := range d.result.Delivered {
		event := &kept.Events[done.Event]
		event.Endpoints = append(event.Endpoints, done.Endpoint)
	}
	return kept
}
