// Package workflows holds the durable executions that Postdate is made of.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Deliver carries one message to one destination. It is started with a delay
// until the message is due, so while it waits no code of it has run: what runs,
// perhaps years later, is the newest.
func Deliver(ctx workflow.Context, in protocol.DeliverInput) (*protocol.DeliverResult, error) {
	d := newDelivery(in)
	ctx, err := d.listen(ctx)
	if err != nil {
		return nil, err
	}

	if d.Handed {
		// Take over from a group, which has made the first attempt already.
		d.resume()
	} else {
		// Wait. A wish wakes it early, so it asks again whether it is due.
		d.wait(ctx)
	}

	for !d.done() {
		switch d.state {
		case postdate.Retrying:
			// Retry. The engine does, until it is delivered, given up, or
			// somebody wishes otherwise.
			d.retry(ctx)
		case postdate.Waiting:
			// Queue. The endpoint had no turn to give: it calls when there is one.
			d.queue(ctx)
		case postdate.Parked:
			// Park. Nothing is sent to an endpoint that is not enabled.
			d.park(ctx)
		default:
			// Try. Most messages are delivered here, at the price of a single task.
			d.try(ctx)
		}
	}
	return d.end(ctx)
}

// resume goes on from an attempt that was made elsewhere.
func (d *delivery) resume() {
	d.plan.Since = d.Attempts.Last().At
	d.evaluate(d.Attempts.Last())
}

// wait sleeps until d is due or somebody wishes otherwise.
func (d *delivery) wait(ctx workflow.Context) {
	if d.Line != "" {
		drainSignals(ctx) // it may have been called before this run began
	}
	early := d.Shipment.DueAt.Sub(workflow.Now(ctx))
	if early > 0 {
		_, _ = workflow.AwaitWithTimeout(ctx, early, d.isPending) // fails only with ctx, which nobody cancels
	}
	if d.Plan == nil {
		d.plan.Since = workflow.Now(ctx)
	}
	switch {
	case d.Line == "":
	case d.woken: // its line calls it no more
		d.Shipment.Dequeued, d.dequeued, d.woken = true, true, false
	case early <= 0:
		// It keeps its place: another line would call it too, and what comes while
		// an attempt is under way has the engine make that again.
		d.state = postdate.Waiting
		return
	}
	d.state = postdate.Sending
	d.applyPending()
	if d.state == postdate.Sending && d.plan.Expired(d.plan.Since) {
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", before its first attempt")
	}
}

// try makes one attempt right here in the worker, as a local activity: nothing
// is written for it but what came of it.
func (d *delivery) try(ctx workflow.Context) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: d.Shipment.AttemptTimeout() + activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 1},
	})
	shipment := d.Shipment
	shipment.Number = d.Attempts.Next()
	var made postdate.Attempt
	err := workflow.ExecuteLocalActivity(ctx, protocol.SendActivity, shipment).Get(ctx, &made)
	d.Shipment.Dequeued = false // it has been
	if err != nil {
		// No attempt was made, for a reason of our own: the engine tries again.
		d.state = postdate.Retrying
		return
	}
	if protocol.Attempted(made.Outcome) {
		d.Attempts = d.Attempts.Append(made)
	}
	d.evaluate(made)
}

// evaluate decides what follows from the newest attempt. When to try again it
// leaves to the retry: that is up to chance too, which has no place here.
func (d *delivery) evaluate(last postdate.Attempt) {
	state, reason := protocol.End(last.Outcome)
	d.finish(state, last.Because(reason))
	if last.Outcome == postdate.Rescheduled && !d.plan.Expired(last.RescheduleTo) {
		d.rescheduleTo(last.RescheduleTo)
		d.applyPending() // of what was wished for meanwhile, rather than the receiver
		if d.restart {
			d.Attempts = d.Attempts[len(d.Attempts)-1:]
		}
	}
}

// retry hands a failed delivery to the engine's retries and waits for their
// end, or for somebody to wish otherwise. An attempt that is under way then is
// waited for: what it comes to counts.
func (d *delivery) retry(ctx workflow.Context) {
	d.showState(ctx, postdate.Retrying)
	d.rechecked = false
	stoppable, stop := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: d.Shipment.AttemptTimeout() + activityGrace,
		WaitForCancellation: true,
		// The activity says itself how long to wait and when to give up. This is
		// for what it cannot say: that its worker died, or our own failure.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	}))
	retrying := workflow.ExecuteActivity(stoppable, protocol.RetryActivity,
		protocol.RetryInput{Shipment: d.Shipment, Plan: d.plan, Attempts: d.Attempts})

	_ = workflow.Await(ctx, func() bool { return retrying.IsReady() || d.isPending() })
	if !retrying.IsReady() {
		d.fetchProgress(ctx)
		stop()
	}

	log := d.Attempts
	if err := retrying.Get(ctx, &log); err != nil {
		state, reason, log := protocol.DecodeEnd(err, d.Attempts)
		d.Attempts = log
		d.finish(state, reason)
	} else {
		d.Attempts = log
		d.evaluate(log.Last())
	}
	if d.state == postdate.Retrying {
		d.state = postdate.Sending
		d.applyPending()
	}
}

// park waits until the endpoint may be sent to again, or somebody wishes
// otherwise. The tenant's execution tells when; for the case that its word is
// lost, or that the endpoint was enabled just now and not everybody knows it
// yet, the endpoint is asked for again. The time does not count as retrying.
func (d *delivery) park(ctx workflow.Context) {
	d.showState(ctx, postdate.Parked)
	since, wait := workflow.Now(ctx), firstRecheck
	if d.rechecked {
		wait = laterRecheck
	}
	if !d.ExpiresAt.IsZero() {
		wait = min(wait, max(0, d.ExpiresAt.Sub(since)))
	}
	_, _ = workflow.AwaitWithTimeout(ctx, wait, func() bool { return d.woken || d.isPending() })
	d.rechecked, d.woken = !d.woken, false
	d.plan.Since = d.plan.Since.Add(workflow.Now(ctx).Sub(since))

	d.state = postdate.Sending
	d.applyPending()
	switch {
	case d.state != postdate.Sending:
	case d.plan.Expired(workflow.Now(ctx)):
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", while its endpoint was not enabled")
	case workflow.GetInfo(ctx).GetContinueAsNewSuggested():
		d.Plan = &d.plan
		d.continueAsNew() // it was parked for weeks: a history has its limits
	}
}

// queue waits in line until the endpoint calls, or somebody wishes otherwise. In
// case that the line is lost it goes in line again now and then, which leaves it
// where it is as long as that is there. The time does not count as retrying.
func (d *delivery) queue(ctx workflow.Context) {
	d.showState(ctx, postdate.Waiting)
	since := workflow.Now(ctx)
	var lines []string
	if err := runDurably(ctx, protocol.QueueActivity, []protocol.EnqueueRequest{d.enqueueRequest()}, &lines); err == nil && lines[0] != d.line {
		d.line, d.dequeued = lines[0], false
		_ = workflow.UpsertMemo(ctx, map[string]any{protocol.MemoLine: d.line}) // fails on what cannot be encoded, only
	}
	wait := laterRecheck
	if !d.ExpiresAt.IsZero() {
		wait = min(wait, max(0, d.ExpiresAt.Sub(workflow.Now(ctx))))
	}
	_, _ = workflow.AwaitWithTimeout(ctx, wait, func() bool { return d.woken || d.superseded || d.isPending() })
	d.plan.Since = d.plan.Since.Add(workflow.Now(ctx).Sub(since))
	d.Shipment.Dequeued = d.woken || d.pending == fireRequest
	d.dequeued, d.woken = d.dequeued || d.woken, false
	if d.Shipment.Dequeued {
		d.state = postdate.Sending
	}
	d.applyPending()
	switch {
	case d.done():
	case d.superseded:
		d.finish(postdate.Cancelled, byNewerMessage)
	case d.plan.Expired(workflow.Now(ctx)):
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", while it waited for its turn")
	case workflow.GetInfo(ctx).GetContinueAsNewSuggested():
		d.Plan = &d.plan
		d.continueAsNew() // it was in line for weeks: a history has its limits
	}
}

// fetchProgress asks the engine for the attempts that a pending retry has made: it
// does not hand them over when the retry is stopped between two of them.
func (d *delivery) fetchProgress(ctx workflow.Context) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    activityGrace,
		ScheduleToCloseTimeout: 6 * activityGrace,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	var log postdate.Attempts
	if err := workflow.ExecuteLocalActivity(ctx, protocol.RecallActivity).Get(ctx, &log); err == nil && len(log) > 0 {
		d.Attempts = log
	}
}

// end closes the execution with the status that says how the delivery ended, or
// starts it anew where it was put off.
func (d *delivery) end(ctx workflow.Context) (*protocol.DeliverResult, error) {
	if d.line != "" && d.state == postdate.Scheduled {
		drainSignals(ctx) // it may have been called just now
	}
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	switch d.state {
	case postdate.Delivered:
		return &protocol.DeliverResult{Attempts: d.Attempts}, nil
	case postdate.Cancelled:
		return nil, temporal.NewCanceledError(protocol.DeliverResult{Attempts: d.Attempts, Reason: d.reason})
	case postdate.Scheduled:
		d.showState(ctx, "")
		if d.Line = d.line; d.dequeued || d.woken {
			d.Line = ""
			d.Shipment.Dequeued = d.Shipment.Dequeued || d.woken
		}
		return nil, workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
			BackoffStartInterval: max(0, d.Shipment.DueAt.Sub(workflow.Now(ctx))),
		}, protocol.DeliverWorkflow, d.DeliverInput)
	default:
		if d.state == postdate.Expired {
			d.showState(ctx, postdate.Expired)
		} else {
			d.announce(ctx)
		}
		return nil, protocol.EncodeEnd(d.state, d.reason, d.Attempts)
	}
}

// maxAnnounceAttempts is how often a dead letter is announced: for about a day.
const maxAnnounceAttempts = 1500

// announce tells the operator's endpoints of a dead letter. That it could not,
// for so long, does not change how the delivery ends.
func (d *delivery) announce(ctx workflow.Context) {
	m := d.Shipment.Message
	if m.Tenant == postdate.OperatorTenant || d.Shipment.Test ||
		workflow.GetVersion(ctx, "announce-dead-letters", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	news := d.announcement(workflow.Now(ctx))
	err := runDurably(ctx, protocol.AnnounceActivity, news, nil, maxAnnounceAttempts)
	if err != nil {
		workflow.GetLogger(ctx).Warn("a dead letter was not announced", "tenant", m.Tenant, "id", d.Shipment.ID(), "error", err)
	}
}
