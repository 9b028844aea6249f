package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen sets the handlers of d: for Updates, for Temporal's own request to cancel, as
// its Web UI sends it, and for the signals that release or supersede d. The context that
// it returns is not cancelled by that request: the delivery decides how it ends.
func (d *delivery) listen(ctx workflow.Context) (workflow.Context, error) {
	detached, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		d.setPending(cancelRequest)
		d.byTemporal = true
	})
	workflow.Go(detached, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, protocol.SignalRelease).Receive(ctx, nil) {
			d.woken = true
		}
	})
	workflow.Go(detached, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, protocol.SignalSuperseded).Receive(ctx, nil) {
			d.superseded = true
		}
	})
	workflow.Go(detached, d.listenToLine)
	return detached, errors.Join(
		setUpdate(ctx, protocol.UpdateLend, d.lend, nil, "Leases the delivery to a consumer, if it waits in that line."),
		setUpdate(ctx, protocol.UpdateSettle, d.settleLease, nil, "Settles the lease: it is acknowledged, failed or extended."),
		setUpdate(ctx, protocol.UpdateCancel, d.cancel, d.validateCancel,
			"Cancels the delivery, unless it ends otherwise first."),
		setUpdate(ctx, protocol.UpdateReschedule, d.reschedule, d.validateReschedule,
			"Moves the due time; replaces the data where no attempt was made yet."),
		setUpdate(ctx, protocol.UpdateFire, d.fire, d.validateFire,
			"Makes an attempt now."),
	)
}

// setUpdate sets the handler of an Update, the validator that may refuse it before it is
// recorded, if there is one, and what Temporal's Web UI says of it.
func setUpdate(ctx workflow.Context, name string, handler, validator any, description string) error {
	return workflow.SetUpdateHandlerWithOptions(ctx, name, handler,
		workflow.UpdateHandlerOptions{Validator: validator, Description: description})
}

// setPending records a request. A greater one overrides a smaller one.
func (d *delivery) setPending(r request) { d.pending = max(d.pending, r) }

func (d *delivery) cancel(ctx workflow.Context) (protocol.UpdateResult, error) {
	d.setPending(cancelRequest)
	return d.awaitOutcome(ctx, postdate.Cancelled)
}

// validateCancel accepts a second request, which waits for the outcome of the first.
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
	if change.Data != nil && (len(d.Attempts) > 0 || d.state == postdate.Sending || d.state == postdate.Retrying || d.lease != nil) {
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "/data",
			"an attempt was made already: a receiver may know this id with the data as it was"))
	}
	if err := change.Validate(workflow.Now(ctx), d.ExpiresAt); err != nil {
		return protocol.EncodeError(err)
	}
	return nil
}

// fire returns as soon as the request is recorded: the outcome of the attempt is read
// from the delivery.
func (d *delivery) fire(workflow.Context) (protocol.UpdateResult, error) {
	d.setPending(fireRequest)
	return protocol.UpdateResult{State: postdate.Sending, DueAt: d.Shipment.DueAt}, nil
}

func (d *delivery) validateFire() error { return d.validateChange() }

// validateChange refuses requests that come too late.
func (d *delivery) validateChange() error {
	switch {
	case d.done():
		return d.conflict()
	case d.pending == cancelRequest:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "is being cancelled"))
	}
	return nil
}

// awaitOutcome waits until it is decided how this run ends. It fails where that is not
// the state that was requested.
func (d *delivery) awaitOutcome(ctx workflow.Context, requested postdate.State) (protocol.UpdateResult, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(ctx, d.done); err != nil {
		return protocol.UpdateResult{}, err
	}
	if d.state != requested {
		return protocol.UpdateResult{}, d.conflict()
	}
	return protocol.UpdateResult{State: d.state, DueAt: d.Shipment.DueAt}, nil
}

// conflict is the error that says what came first.
func (d *delivery) conflict() error {
	if d.restart {
		return protocol.EncodeError(postdate.Errorf(postdate.Unavailable, "", "is being rescheduled to %s: try again",
			d.Shipment.DueAt.Format(time.RFC3339)))
	}
	return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", d.state))
}
