package workflows

import (
	"errors"
	"slices"
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// listen lets d take wishes: by Updates, and by the engine's own request to
// cancel, as its Web UI sends it. It also hears when its endpoint is enabled or
// calls it, and when a newer message took its place. The context it answers is not cancelled by
// that request, for how a delivery ends is the delivery's to decide.
func (d *delivery) listen(ctx workflow.Context) (workflow.Context, error) {
	calm, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		d.want(toCancel)
	})
	workflow.Go(calm, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, SignalRelease).Receive(ctx, nil) {
			d.released = true
		}
	})
	workflow.Go(calm, func(ctx workflow.Context) {
		for workflow.GetSignalChannel(ctx, SignalSuperseded).Receive(ctx, nil) {
			d.superseded = true
		}
	})
	options := func(validator any, description string) workflow.UpdateHandlerOptions {
		return workflow.UpdateHandlerOptions{Validator: validator, Description: description}
	}
	return calm, errors.Join(
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateCancel, d.cancel,
			options(d.mayCancel, "Cancels the delivery, unless it ends otherwise first.")),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateReschedule, d.reschedule,
			options(d.mayReschedule, "Moves the due time; replaces the data where no attempt was made yet.")),
		workflow.SetUpdateHandlerWithOptions(ctx, UpdateFire, d.fire,
			options(d.mayFire, "Makes an attempt now.")),
	)
}

// want notes a wish. A greater one overrides a smaller one.
func (d *delivery) want(w wish) { d.wish = max(d.wish, w) }

func (d *delivery) cancel(ctx workflow.Context) (Standing, error) {
	d.want(toCancel)
	return d.settled(ctx, postdate.Cancelled)
}

// mayCancel lets a second request wait for what the first one comes to.
func (d *delivery) mayCancel() error {
	if d.over() {
		return d.tooLate()
	}
	return nil
}

func (d *delivery) reschedule(ctx workflow.Context, change postdate.Change) (Standing, error) {
	d.want(toPutOff)
	d.change = change
	return d.settled(ctx, postdate.Scheduled)
}

func (d *delivery) mayReschedule(ctx workflow.Context, change postdate.Change) error {
	if err := d.mayChange(); err != nil {
		return err
	}
	if change.Data != nil && (len(d.Attempts) > 0 || d.state == postdate.Sending || d.state == postdate.Retrying) {
		return refuse(postdate.Errorf(postdate.Conflict, "/data",
			"an attempt was made already: a receiver may know this id with the data as it was"))
	}
	if err := change.Validate(workflow.Now(ctx), d.ExpiresAt); err != nil {
		return refuse(err)
	}
	return nil
}

// fire answers as soon as the wish is noted: what the attempt comes to is seen
// by asking for the delivery.
func (d *delivery) fire(workflow.Context) (Standing, error) {
	d.want(toFire)
	return Standing{State: postdate.Sending, DueAt: d.Shipment.DueAt}, nil
}

func (d *delivery) mayFire() error { return d.mayChange() }

// mayChange refuses wishes that come too late.
func (d *delivery) mayChange() error {
	switch {
	case d.over():
		return d.tooLate()
	case d.wish == toCancel:
		return refuse(postdate.Errorf(postdate.Conflict, "", "is being cancelled"))
	}
	return nil
}

// settled waits until it is decided how this execution ends, and answers
// whether that is what was wished for.
func (d *delivery) settled(ctx workflow.Context, wished postdate.State) (Standing, error) {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := workflow.Await(ctx, d.over); err != nil {
		return Standing{}, err
	}
	if d.state != wished {
		return Standing{}, d.tooLate()
	}
	return Standing{State: d.state, DueAt: d.Shipment.DueAt}, nil
}

// tooLate says what came first.
func (d *delivery) tooLate() error {
	if d.anew {
		return refuse(postdate.Errorf(postdate.Unavailable, "", "is being put off until %s: ask again",
			d.Shipment.DueAt.Format(time.RFC3339)))
	}
	return refuse(postdate.Errorf(postdate.Conflict, "", "already %s", d.state))
}

// refusals are the codes with which Updates are refused.
var refusals = []postdate.Code{postdate.Invalid, postdate.NotFound, postdate.Conflict, postdate.Unavailable}

// refuse makes of a [postdate.Error] one that the engine carries to the caller.
// [Refusal] makes it what it was.
func refuse(err error) error {
	var told *postdate.Error
	if !errors.As(err, &told) {
		return err
	}
	return temporal.NewApplicationErrorWithOptions(told.Detail, string(told.Code),
		temporal.ApplicationErrorOptions{NonRetryable: true, Details: []any{told.Pointer}})
}

// Refusal is the reason for which an Update was refused, if it was.
func Refusal(err error) (*postdate.Error, bool) {
	app, ok := errors.AsType[*temporal.ApplicationError](err)
	if !ok || !slices.Contains(refusals, postdate.Code(app.Type())) {
		return nil, false // the engine's own errors have this type too
	}
	told := &postdate.Error{Code: postdate.Code(app.Type()), Detail: app.Message()}
	if app.HasDetails() {
		_ = app.Details(&told.Pointer) // without it the answer names no field, and still says why
	}
	return told, true
}
