package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen lets d take wishes: by Updates, and by the engine's own request to
// cancel, as its Web UI sends it. It also hears when its endpoint is enabled or
// calls it, and when a newer message took its place. The context it answers is not cancelled by
// that request, for how a delivery ends is the delivery's to decide.
func (d *delivery) listen(ctx workflow.Context) (workflow.Context, error) {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		d.setPending(cancelRequest)
	})
	workflow.Go(calm, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, protocol.SignalRelease).Receive(ctx, nil) {
			d.woken = true
		}
	})
	workflow.Go(calm, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, protocol.SignalSuperseded).Receive(ctx, nil) {
			d.superseded = true
		}
	})
	options := func(validator any, description string) workflow.UpdateHandlerOptions {
		return workflow.UpdateHandlerOptions{Validator: validator, Description: description}
	}
	return calm, errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateCancel, d.cancel,
			options(d.validateCancel, "Cancels the delivery, unless it ends otherwise first.")),
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateReschedule, d.reschedule,
			options(d.validateReschedule, "Moves the due time; replaces the data where no attempt was made yet.")),
		workflow.SetUpdateHandlerWithOptions(ctx, protocol.UpdateFire, d.fire,
			options(d.validateFire, "Makes an attempt now.")),
	)
}

// setPending notes a wish. A greater one overrides a smaller one.
func (d *delivery) setPending(w request) { d.pending = max(d.pending, w) }

func (d *delivery) cancel(ctx workflow.Context) (protocol.UpdateResult, error) {
	d.setPending(cancelRequest)
	return d.awaitOutcome(ctx, postdate.Cancelled)
}

// validateCancel lets a second request wait for what the first one comes to.
func (d *delivery) validateCancel() error {
	if d.done() {
		return d.conflict()
	}
	return nil
}

func (d *delivery) reschedule(ctx workflow.Context, change postdate.Change) (protocol.UpdateResult, error) {
	d.setPending(rescheduleRequest)
	d.pendingChange = change
	return d.awaitOutcome(ctx, postdate.Scheduled)
}

func (d *delivery) validateReschedule(ctx workflow.Context, change postdate.Change) error {
	if err := d.validateChange(); err != nil {
		return err
	}
	if change.Data != nil && (len(d.Attempts) > 0 || d.state == postdate.Sending || d.state == postdate.Retrying) {
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "/data",
			"an attempt was made already: a receiver may know this id with the data as it was"))
	}
	if err := change.Validate(workflow.Now(ctx), d.ExpiresAt); err != nil {
		return protocol.EncodeError(err)
	}
	return nil
}

// fire answers as soon as the wish is noted: what the attempt comes to is seen
// by asking for the delivery.
func (d *delivery) fire(workflow.Context) (protocol.UpdateResult, error) {
	d.setPending(fireRequest)
	return protocol.UpdateResult{State: postdate.Sending, DueAt: d.Shipment.DueAt}, nil
}

func (d *delivery) validateFire() error { return d.validateChange() }

// validateChange refuses wishes that come too late.
func (d *delivery) validateChange() error {
	switch {
	case d.done():
		return d.conflict()
	case d.pending == cancelRequest:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "is being cancelled"))
	}
	return nil
}

// awaitOutcome waits until it is decided how this execution ends, and answers
// whether that is what was wished for.
func (d *delivery) awaitOutcome(ctx workflow.Context, wished postdate.State) (protocol.UpdateResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(ctx, d.done); err != nil {
		return protocol.UpdateResult{}, err
	}
	if d.state != wished {
		return protocol.UpdateResult{}, d.conflict()
	}
	return protocol.UpdateResult{State: d.state, DueAt: d.Shipment.DueAt}, nil
}

// conflict says what came first.
func (d *delivery) conflict() error {
	if d.restart {
		return protocol.EncodeError(postdate.Errorf(postdate.Unavailable, "", "is being put off until %s: ask again",
			d.Shipment.DueAt.Format(time.RFC3339)))
	}
	return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", d.state))
}
