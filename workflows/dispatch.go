package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Dispatch carries events to their subscribers. It makes all first attempts side
// by side, at the price of one execution; what does not succeed at once goes on
// as a Deliver of its own.
//
// A request to cancel it, as the engine's Web UI sends, is not heeded: its
// deliveries are cancelled one by one, once they have a Deliver, and until then
// they are being attempted.
func Dispatch(ctx workflow.Context, in protocol.DispatchInput) (*protocol.DispatchResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)

	// Share out. What is too much for one execution goes to further ones.
	parts := in.Parts()
	startParts(ctx, parts)
	d := dispatch{DispatchInput: parts[0]}

	// Try.
	d.sendGroup(ctx)

	// Go in line where the endpoint had no turn to give, and who is not there yet.
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
	return &d.result, nil
}

// dispatch is the state of a Dispatch execution.
type dispatch struct {
	protocol.DispatchInput // its own part

	result      protocol.DispatchResult
	toQueue     []protocol.GroupItem   // what is to go in line
	undelivered []protocol.Undelivered // what goes on as a Deliver
}

// maxPartsBytes bounds what the parts that are started in one workflow task
// carry: the engine takes 4 MB in a request.
const maxPartsBytes = 1 << 20

// startParts starts an execution for each part but the first and waits until all
// are started: from then on the engine answers for them.
func startParts(ctx workflow.Context, parts []protocol.DispatchInput) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	var starting []workflow.Future
	size := 0
	for n := 1; n < len(parts); n++ {
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, protocol.PartOptions(protocol.PartID(id, n), parts[n])), protocol.DispatchWorkflow, parts[n])
		starting = append(starting, child.GetChildWorkflowExecution())
		if size += parts[n].Size(); size >= maxPartsBytes || n == len(parts)-1 {
			for _, each := range starting {
				_ = each.Get(ctx, nil) // fails only where it was started before
			}
			starting, size = nil, 0
		}
	}
}

// sendGroup makes the first attempts, in a single local activity: all that is
// written for them is what came of them. Where that activity is lost as a whole,
// every delivery is left as it is, to be tried by a Deliver.
func (d *dispatch) sendGroup(ctx workflow.Context) {
	parcels := d.Own()
	if len(parcels) == 0 {
		return
	}
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: postdate.MaxTimeout + activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	attempts := make([]protocol.GroupAttempt, len(parcels))
	group := protocol.GroupInput{Messages: d.messages(), Items: parcels, At: d.At, Of: d.Of}
	var made []protocol.GroupAttempt
	if err := workflow.ExecuteLocalActivity(ctx, protocol.SendGroupActivity, group).Get(ctx, &made); err == nil {
		copy(attempts, made)
	}
	for i, parcel := range parcels {
		if attempts[i].Outcome == postdate.Accepted {
			d.result.Delivered = append(d.result.Delivered, protocol.GroupDelivery{Event: parcel.Event, Endpoint: parcel.Endpoint, Attempt: attempts[i].Attempt})
			continue
		}
		if line := attempts[i].Line; line != "" {
			d.result.Queued = append(d.result.Queued, protocol.QueuedDelivery{Event: parcel.Event, Endpoint: parcel.Endpoint, Line: line})
			continue
		}
		if attempts[i].Outcome == protocol.NoPermit {
			d.toQueue = append(d.toQueue, parcel)
			continue
		}
		left := protocol.Undelivered{GroupItem: parcel}
		if protocol.Attempted(attempts[i].Outcome) {
			left.Attempts = postdate.Attempts{}.Append(attempts[i].Attempt)
		}
		d.undelivered = append(d.undelivered, left)
	}
}

// queue has those wait in line for their endpoints to which no turn was given.
func (d *dispatch) queue(ctx workflow.Context) error {
	all, messages := make([]protocol.EnqueueRequest, len(d.toQueue)), d.messages()
	for i, parcel := range d.toQueue {
		all[i] = parcel.EnqueueRequest(messages, d.At)
	}
	var lines []string
	if err := runDurably(ctx, protocol.QueueActivity, all, &lines); err != nil {
		return err
	}
	for i, parcel := range d.toQueue {
		d.result.Queued = append(d.result.Queued, protocol.QueuedDelivery{Event: parcel.Event, Endpoint: parcel.Endpoint, Line: lines[i]})
	}
	return nil
}

// handOver gives what leaves a group a Deliver of its own; the engine tries that
// until it is done.
func handOver(ctx workflow.Context, handing protocol.HandOverInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	return workflow.ExecuteActivity(ctx, protocol.HandOverActivity, handing).Get(ctx, nil)
}

// showDelivered has the lists tell of what was delivered here alone. It comes after all
// else went elsewhere: for a moment a delivery is in two executions, and never in
// none. Where nothing but a queue was in the way the memo does: each attribute that
// is set is a write, and there may be hundreds in a second.
func (d *dispatch) showDelivered(ctx workflow.Context) error {
	kept := d.delivered()
	if len(d.undelivered) > 0 {
		_ = workflow.UpsertTypedSearchAttributes(ctx, kept.Lists()...) // fails on no attributes at all, only
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

// undeliveredMessages are the messages of which anything is left, in their places.
func (d *dispatch) undeliveredMessages() []postdate.Message {
	messages := make([]postdate.Message, len(d.Events))
	for _, parcel := range d.undelivered {
		messages[parcel.Event] = d.Events[parcel.Event].Message
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
