package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// Dispatch carries events to their subscribers. It makes all first attempts side
// by side, at the price of one execution; what does not succeed at once goes on
// as a Deliver of its own.
//
// A request to cancel it, as the engine's Web UI sends, is not heeded: its
// deliveries are cancelled one by one, once they have a Deliver, and until then
// they are being attempted.
func Dispatch(ctx workflow.Context, in DispatchInput) (*DispatchResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)

	// Share out. What is too much for one execution goes to further ones.
	parts := in.Parts()
	startParts(ctx, parts)
	d := dispatch{DispatchInput: parts[0]}

	// Try.
	d.sendGroup(ctx)

	// Go in line where the endpoint had no turn to give, and who is not there yet.
	if len(d.queued) > 0 {
		if err := d.queue(ctx); err != nil {
			return nil, err
		}
	}

	// Hand over what was not accepted at once.
	if len(d.left) > 0 {
		if err := handOver(ctx, activities.HandOverInput{Messages: d.messagesLeft(), Parcels: d.left, At: d.At}); err != nil {
			return nil, err
		}
	}
	if len(d.result.Queued)+len(d.left) > 0 {
		if err := d.rewrite(ctx); err != nil {
			return nil, err
		}
	}
	return &d.result, nil
}

// dispatch is the state of a Dispatch execution.
type dispatch struct {
	DispatchInput // its own part

	result DispatchResult
	queued []activities.Parcel     // what is to go in line
	left   []activities.LeftParcel // what goes on as a Deliver
}

// maxPartsBytes bounds what the parts that are started in one workflow task
// carry: the engine takes 4 MB in a request.
const maxPartsBytes = 1 << 20

// startParts starts an execution for each part but the first and waits until all
// are started: from then on the engine answers for them.
func startParts(ctx workflow.Context, parts []DispatchInput) {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	var starting []workflow.Future
	size := 0
	for n := 1; n < len(parts); n++ {
		child := workflow.ExecuteChildWorkflow(workflow.WithChildOptions(ctx, partOptions(PartID(id, n), parts[n])), DispatchName, parts[n])
		starting = append(starting, child.GetChildWorkflowExecution())
		if size += parts[n].size(); size >= maxPartsBytes || n == len(parts)-1 {
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
		StartToCloseTimeout: postdate.MaxTimeout + grace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	attempts := make([]activities.GroupAttempt, len(parcels))
	group := activities.GroupInput{Messages: d.messages(), Parcels: parcels, At: d.At, Of: d.Of}
	var made []activities.GroupAttempt
	if err := workflow.ExecuteLocalActivity(ctx, activities.SendGroupName, group).Get(ctx, &made); err == nil {
		copy(attempts, made)
	}
	for i, parcel := range parcels {
		if attempts[i].Outcome == postdate.Accepted {
			d.result.Delivered = append(d.result.Delivered, GroupDelivery{parcel.Event, parcel.Endpoint, attempts[i].Attempt})
			continue
		}
		if line := attempts[i].Line; line != "" {
			d.result.Queued = append(d.result.Queued, QueuedDelivery{parcel.Event, parcel.Endpoint, line})
			continue
		}
		if attempts[i].Outcome == postdate.Queued {
			d.queued = append(d.queued, parcel)
			continue
		}
		left := activities.LeftParcel{Parcel: parcel}
		if attempts[i].Outcome.Made() {
			left.Attempts = postdate.Attempts{}.With(attempts[i].Attempt)
		}
		d.left = append(d.left, left)
	}
}

// queue has those wait in line for their endpoints to which no turn was given.
func (d *dispatch) queue(ctx workflow.Context) error {
	all, messages := make([]activities.Queued, len(d.queued)), d.messages()
	for i, parcel := range d.queued {
		all[i] = parcel.Queued(messages, d.At)
	}
	var lines []string
	if err := insist(ctx, activities.QueueName, all, &lines); err != nil {
		return err
	}
	for i, parcel := range d.queued {
		d.result.Queued = append(d.result.Queued, QueuedDelivery{parcel.Event, parcel.Endpoint, lines[i]})
	}
	return nil
}

// handOver gives what leaves a group a Deliver of its own; the engine tries that
// until it is done.
func handOver(ctx workflow.Context, handing activities.HandOverInput) error {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 10 * time.Minute,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	return workflow.ExecuteActivity(ctx, activities.HandOverName, handing).Get(ctx, nil)
}

// rewrite has the lists tell of what was delivered here alone. It comes after all
// else went elsewhere: for a moment a delivery is in two executions, and never in
// none. Where nothing but a queue was in the way the memo does: each attribute that
// is set is a write, and there may be hundreds in a second.
func (d *dispatch) rewrite(ctx workflow.Context) error {
	kept := d.delivered()
	if len(d.left) > 0 {
		_ = workflow.UpsertTypedSearchAttributes(ctx, kept.lists()...) // fails on no attributes at all, only
	}
	return workflow.UpsertMemo(ctx, map[string]any{MemoGroup: kept.Group()})
}

func (d *dispatch) messages() []postdate.Message {
	messages := make([]postdate.Message, len(d.Events))
	for i, event := range d.Events {
		messages[i] = event.Message
	}
	return messages
}

// messagesLeft are the messages of which anything is left, in their places.
func (d *dispatch) messagesLeft() []postdate.Message {
	messages := make([]postdate.Message, len(d.Events))
	for _, parcel := range d.left {
		messages[parcel.Event] = d.Events[parcel.Event].Message
	}
	return messages
}

// delivered is the part of the input that was delivered here.
func (d *dispatch) delivered() DispatchInput {
	kept := DispatchInput{Digest: d.Digest, At: d.At}
	for _, event := range d.Events {
		kept.Events = append(kept.Events, Publication{Message: event.Message})
	}
	for _, done := range d.result.Delivered {
		event := &kept.Events[done.Event]
		event.Endpoints = append(event.Endpoints, done.Endpoint)
	}
	return kept
}
