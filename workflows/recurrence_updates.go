package workflows

import (
	"errors"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listen sets the handlers of r: for Updates, and for Temporal's own request to cancel, as
// its Web UI sends it. The context that it returns is not cancelled by that request.
func (r *recurrence) listen(ctx workflow.Context) (workflow.Context, error) {
	detached, _ := workflow.NewDisconnectedContext(ctx)
	workflow.Go(ctx, func(ctx workflow.Context) {
		ctx.Done().Receive(ctx, nil)
		r.cancelled, r.changed = true, true
	})
	return detached, errors.Join(
		setUpdate(ctx, protocol.UpdatePause, r.pause, r.validatePause,
			"Lets ticks pass without a delivery."),
		setUpdate(ctx, protocol.UpdateResume, r.resume, r.validateOpen,
			"Ends a pause."),
		setUpdate(ctx, protocol.UpdateSkip, r.skip, r.validateOpen,
			"Leaves the next tick out."),
		setUpdate(ctx, protocol.UpdateFire, r.fire, r.validateOpen,
			"Starts an extra delivery now."),
		setUpdate(ctx, protocol.UpdateBackfill, r.backfill, r.validateBackfill,
			"Starts the deliveries of a range of ticks."),
		setUpdate(ctx, protocol.UpdatePatch, r.patch, r.validatePatch,
			"Changes the recurrence, with effect from its next tick."),
		setUpdate(ctx, protocol.UpdateTickEnded, r.tickEnded, r.validateTickEnded,
			"Reports that the delivery of a tick has ended."),
		setUpdate(ctx, protocol.UpdateCancel, r.cancel, r.validateOpen,
			"Ends the recurrence. Deliveries that were started go on."),
	)
}

// change makes a change, after which the run ends.
func (r *recurrence) change(ctx workflow.Context, apply func(ctx workflow.Context) error) error {
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	if err := r.changing.Lock(ctx); err != nil {
		return err
	}
	defer r.changing.Unlock()
	if err := r.validateOpen(); err != nil {
		return err // it ended while this waited
	}
	err := apply(ctx)
	r.changed = true
	return err
}

// changeAhead is change for what has effect on the next tick, of which the delivery may
// have been started already: that is withdrawn first.
func (r *recurrence) changeAhead(ctx workflow.Context, apply func(ctx workflow.Context) error) error {
	return r.change(ctx, func(ctx workflow.Context) error {
		if err := r.withdraw(ctx); err != nil {
			return err
		}
		return apply(ctx)
	})
}

// withdraw cancels the delivery that was started ahead of its tick. Where it is being sent
// meanwhile, the tick has passed.
func (r *recurrence) withdraw(ctx workflow.Context) error {
	if !r.IsAhead(workflow.Now(ctx)) {
		return nil
	}
	var withdrawn bool
	err := r.run(ctx, fireTimeout, protocol.WithdrawActivity, protocol.WithdrawTick{Tenant: r.Tenant(), DeliveryID: r.Ahead.DeliveryID}, &withdrawn)
	if withdrawn {
		r.Withdraw()
		r.WakeAt = workflow.Now(ctx)
	}
	return err
}

func (r *recurrence) pause(ctx workflow.Context, pause postdate.Pause) error {
	return r.changeAhead(ctx, func(ctx workflow.Context) error {
		r.setPause(ctx, pause)
		return nil
	})
}

func (r *recurrence) validatePause(ctx workflow.Context, pause postdate.Pause) error {
	if err := r.validateOpen(); err != nil {
		return err
	}
	return protocol.EncodeError(pause.Validate(workflow.Now(ctx)))
}

func (r *recurrence) resume(ctx workflow.Context) error {
	return r.change(ctx, func(ctx workflow.Context) error {
		if r.Pause == nil {
			return nil
		}
		now := workflow.Now(ctx)
		r.Pause, r.ResumedAt, r.WakeAt = nil, now, now
		setState(ctx, "")
		return nil
	})
}

func (r *recurrence) skip(ctx workflow.Context) error {
	return r.changeAhead(ctx, func(ctx workflow.Context) error {
		r.Skip++
		r.WakeAt = workflow.Now(ctx)
		return nil
	})
}

// fire returns once the extra delivery is started.
func (r *recurrence) fire(ctx workflow.Context) (record postdate.TickRecord, err error) {
	err = r.change(ctx, func(ctx workflow.Context) error {
		r.Fired++
		err := r.run(ctx, fireTimeout, protocol.FireActivity, protocol.FireInput{Recurrence: r.RecurrenceInput, Number: r.Fired}, &record)
		if err == nil {
			r.Remember(record)
		}
		return err
	})
	return record, err
}

func (r *recurrence) backfill(ctx workflow.Context, of protocol.Backfill) (done protocol.Backfilled, err error) {
	err = r.change(ctx, func(ctx workflow.Context) error {
		return r.run(ctx, backfillTimeout, protocol.BackfillActivity, protocol.BackfillInput{Recurrence: r.RecurrenceInput, Range: of}, &done)
	})
	return done, err
}

func (r *recurrence) validateBackfill(of protocol.Backfill) error {
	if err := r.validateOpen(); err != nil {
		return err
	}
	if of.To.Before(of.From) {
		return protocol.EncodeError(postdate.Errorf(postdate.Invalid, "/to", "is before from"))
	}
	return nil
}

// patch changes what is sent and when. What was due before is not due by the new rule: it
// begins now.
func (r *recurrence) patch(ctx workflow.Context, patch protocol.PatchRecurrence) error {
	return r.changeAhead(ctx, func(ctx workflow.Context) error {
		now := workflow.Now(ctx)
		if patch.Recurrence != nil {
			r.patchRule(*patch.Recurrence)
			r.Missed, r.Passed.Local = nil, nil
			if r.Passed.DueAt.Before(now) {
				r.Passed.DueAt = now
			}
			if r.Pause == nil {
				r.WakeAt = now
			}
		}
		patch.Apply(&r.Task)
		r.Accepted.To = r.Task.Shipment.To
		_ = workflow.UpsertTypedSearchAttributes(ctx, r.Task.Attributes()...)           // fails only without any
		_ = workflow.UpsertMemo(ctx, map[string]any{protocol.MemoAccepted: r.Accepted}) // fails only for what cannot be encoded
		return nil
	})
}

// patchRule replaces the rule. One that says nothing of its start keeps it: intervals are
// counted from there.
func (r *recurrence) patchRule(rule postdate.Recurrence) {
	if rule.StartAt == nil {
		rule.StartAt = r.Recurrence.StartAt
	}
	r.Recurrence = rule
}

func (r *recurrence) validatePatch(patch protocol.PatchRecurrence) error {
	if err := r.validateOpen(); err != nil {
		return err
	}
	if patch.Recurrence == nil {
		return nil
	}
	return protocol.EncodeError(patch.Recurrence.Validate()) //workflowcheck:ignore the result of a validator is recorded, and not computed again on replay
}

// tickEnded starts what waits for the end of a delivery, or ends r where the receiver
// asked for that.
func (r *recurrence) tickEnded(ctx workflow.Context, of protocol.TickEnded) error {
	return r.change(ctx, func(ctx workflow.Context) error {
		r.RememberEnd(of.DeliveryID)
		switch {
		case of.Stop:
			if err := r.withdraw(ctx); err != nil {
				return err
			}
			r.ended, r.reason = true, "the receiver of "+of.DeliveryID+" asked to stop"
		case r.Buffered != nil && r.Pause == nil:
			r.WakeAt = workflow.Now(ctx)
		}
		return nil
	})
}

func (r *recurrence) validateTickEnded(protocol.TickEnded) error { return r.validateOpen() }

func (r *recurrence) cancel(ctx workflow.Context) (protocol.UpdateResult, error) {
	err := r.changeAhead(ctx, func(workflow.Context) error {
		r.cancelled = true
		return nil
	})
	return protocol.UpdateResult{State: postdate.Cancelled}, err
}

// validateOpen refuses changes of what has ended. What asks for what is so already is
// accepted.
func (r *recurrence) validateOpen() error {
	switch {
	case r.cancelled:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.Cancelled))
	case r.ended:
		return protocol.EncodeError(postdate.Errorf(postdate.Conflict, "", "already %s", postdate.RecurrenceEnded))
	}
	return nil
}
