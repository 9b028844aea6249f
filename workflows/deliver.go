// Package workflows holds the durable executions that Postdate is made of.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// Deliver carries one message to one destination. It is started with a delay
// until the message is due, so while it waits no code of it has run: what runs,
// perhaps years later, is the newest.
func Deliver(ctx workflow.Context, in DeliverInput) (*DeliverResult, error) {
	d := newDelivery(in)
	ctx, err := d.listen(ctx)
	if err != nil {
		return nil, err
	}

	// Wait. A wish wakes it early, so it asks again whether it is due.
	d.wait(ctx)

	for d.state == postdate.Sending {
		// Try. Most messages are delivered here, at the price of a single task.
		d.try(ctx)

		// Decide. What failed is retried by the engine until it is delivered,
		// given up, or somebody wishes otherwise.
		if d.state == postdate.Retrying {
			d.retry(ctx)
		}
	}
	return d.end(ctx)
}

// wait sleeps until d is due or somebody wishes otherwise.
func (d *delivery) wait(ctx workflow.Context) {
	if early := d.Shipment.DueAt.Sub(workflow.Now(ctx)); early > 0 {
		_, _ = workflow.AwaitWithTimeout(ctx, early, d.wished) // fails only with ctx, which nobody cancels
	}
	d.state = postdate.Sending
	d.heed()
	d.plan.Since = workflow.Now(ctx)
	if d.state == postdate.Sending && d.plan.Expired(d.plan.Since) {
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", before its first attempt")
	}
}

// try makes one attempt right here in the worker, as a local activity: nothing
// is written for it but what came of it.
func (d *delivery) try(ctx workflow.Context) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: d.Shipment.Timeout.Std() + grace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	var made postdate.Attempt
	err := workflow.ExecuteLocalActivity(ctx, activities.SendName, d.Shipment).Get(ctx, &made)
	if err != nil {
		// No attempt was made, for a reason of our own: the engine tries again.
		d.state = postdate.Retrying
		return
	}
	d.Attempts = d.Attempts.With(made)
	d.judge()
}

// judge decides what follows from the newest attempt. When to try again it
// leaves to the retry: that is up to chance too, which has no place here.
func (d *delivery) judge() {
	last := d.Attempts.Last()
	state, reason := last.Outcome.End()
	d.finish(state, reason+": "+last.Summary())
	if last.Outcome == postdate.Rescheduled && !d.plan.Expired(last.RescheduleTo) {
		d.putOff(last.RescheduleTo)
		d.Attempts = d.Attempts[len(d.Attempts)-1:]
	}
}

// retry hands a failed delivery to the engine's retries and waits for their
// end, or for somebody to wish otherwise. An attempt that is under way then is
// waited for: what it comes to counts.
func (d *delivery) retry(ctx workflow.Context) {
	d.mark(ctx, postdate.Retrying)
	stoppable, stop := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: d.Shipment.Timeout.Std() + grace,
		WaitForCancellation: true,
		// The activity says itself how long to wait and when to give up. This is
		// for what it cannot say: that its worker died, or our own failure.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}))
	retrying := workflow.ExecuteActivity(stoppable, activities.RetryName,
		activities.Retries{Shipment: d.Shipment, Plan: d.plan, Attempts: d.Attempts})

	_ = workflow.Await(ctx, func() bool { return retrying.IsReady() || d.wished() })
	if !retrying.IsReady() {
		d.recall(ctx)
		stop()
	}

	log := d.Attempts
	if err := retrying.Get(ctx, &log); err != nil {
		state, reason, log := activities.ReadEnd(err, d.Attempts)
		d.Attempts = log
		d.finish(state, reason)
	} else {
		d.Attempts = log
		d.judge()
	}
	if d.state == postdate.Retrying {
		d.state = postdate.Sending
		d.heed()
	}
}

// recall asks the engine for the attempts that a pending retry has made: it
// does not hand them over when the retry is stopped between two of them.
func (d *delivery) recall(ctx workflow.Context) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: grace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var log postdate.Attempts
	if err := workflow.ExecuteLocalActivity(ctx, activities.RecallName).Get(ctx, &log); err == nil && len(log) > 0 {
		d.Attempts = log
	}
}

// end closes the execution with the status that says how the delivery ended, or
// starts it anew where it was put off.
func (d *delivery) end(ctx workflow.Context) (*DeliverResult, error) {
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	switch d.state {
	case postdate.Delivered:
		return &DeliverResult{Attempts: d.Attempts}, nil
	case postdate.Cancelled:
		return nil, temporal.NewCanceledError(DeliverResult{Attempts: d.Attempts})
	case postdate.Scheduled:
		d.mark(ctx, "")
		return nil, workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
			BackoffStartInterval: max(0, d.Shipment.DueAt.Sub(workflow.Now(ctx))),
		}, DeliverName, d.DeliverInput)
	default:
		if d.state == postdate.Expired {
			d.mark(ctx, postdate.Expired)
		}
		return nil, activities.Ended(d.state, d.reason, d.Attempts)
	}
}
