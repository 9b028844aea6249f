// Package workflows holds the durable executions that Postdate is made of.
package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Deliver sends one message to one destination. It is started with a delay until
// the message is due, so none of its code runs while it sleeps: the code that runs,
// perhaps years later, is the newest.
func Deliver(ctx workflow.Context, in protocol.DeliverInput) (*protocol.DeliverResult, error) {
	d := newDelivery(in)
	ctx, err := d.listen(ctx)
	if err != nil {
		return nil, err
	}

	if d.Handed {
		// Continue after the first attempt, which a group or a line has made.
		d.resume()
	} else {
		// Wait. An Update wakes it early, so it checks again whether it is due.
		d.wait(ctx)
	}

	for !d.done() {
		switch d.state {
		case postdate.Retrying:
			// Retry. Temporal retries the activity until the delivery ends or an
			// Update changes its course.
			d.retry(ctx)
		case postdate.Waiting:
			// Queue. No permit came: the delivery waits in a line until one does.
			d.queue(ctx)
		case postdate.Parked:
			// Park. Nothing is sent to an endpoint that is not enabled.
			d.park(ctx)
		default:
			// Try. Most messages are delivered here, in a single workflow task.
			d.try(ctx)
		}
	}
	return d.end(ctx)
}

// resume decides what follows from an attempt that a group or a line has made.
func (d *delivery) resume() {
	d.plan.Since = d.Attempts.Last().At
	d.evaluate(d.Attempts.Last())
}

// wait sleeps until d is due, or until an Update changes its course.
func (d *delivery) wait(ctx workflow.Context) {
	d.followLaw(ctx)
	if d.restart {
		return
	}
	if d.Line != "" {
		drainSignals(ctx) // it may have been released before this run began
	}
	early := d.Shipment.DueAt.Sub(workflow.Now(ctx))
	if early > 0 && !d.Fired {
		d.burst = nil
		_, _ = workflow.AwaitWithTimeout(ctx, early, d.isPending) // fails only if ctx is cancelled, which never happens
		d.released = d.isPending()
		d.exposed = d.exposed || d.released // the timer may still fire
	}
	if d.Plan == nil {
		d.plan.Since = workflow.Now(ctx)
	}
	switch {
	case d.Line == "":
	case d.woken: // its line has released it, and does so once
		d.Shipment.Dequeued, d.dequeued, d.woken = true, true, false
	case early <= 0:
		// It keeps its place: a second line would release it too.
		d.state = postdate.Waiting
		return
	}
	d.state = postdate.Sending
	d.applyPending()
	switch {
	case d.state == postdate.Cancelled && d.byTemporal && early <= 0:
		d.recall(ctx)
	case d.state == postdate.Sending && d.plan.Expired(d.plan.Since):
		d.finish(postdate.Expired, "expired at "+d.ExpiresAt.Format(time.RFC3339)+", before its first attempt")
	}
}

// try makes one attempt, and decides what follows.
func (d *delivery) try(ctx workflow.Context) {
	attempt, err := d.send(ctx)
	d.Shipment.Dequeued, d.burst = false, nil // that was for this attempt
	d.canary = attempt.Canary
	if reason, wait, refused := protocol.DecodeRefusal(err); refused {
		// No permit came, and there is no line to wait in.
		d.askLater(ctx, reason, wait)
		return
	}
	if err != nil {
		// No attempt was made, because of a failure of our own: Temporal retries it.
		d.state = postdate.Retrying
		return
	}
	if protocol.Attempted(attempt.Outcome) {
		d.Attempts = d.Attempts.Append(attempt)
	}
	d.evaluate(attempt)
}

// evaluate decides what follows from the newest attempt. When the next one is made
// the Retry activity decides: that depends on chance, which workflow code must not.
func (d *delivery) evaluate(last postdate.Attempt) {
	state, reason := protocol.End(last.Outcome)
	d.finish(state, last.Because(reason))
	if last.Outcome == postdate.Rescheduled && !d.plan.Expired(last.RescheduleTo) {
		d.rescheduleTo(last.RescheduleTo)
		d.applyPending() // an Update that came during the attempt overrides the receiver
		if d.restart {
			d.Attempts = d.Attempts[len(d.Attempts)-1:]
		}
	}
}

// retry has Temporal retry a failed delivery, until that ends or an Update changes
// its course. An attempt that is under way then is waited for: its outcome counts.
func (d *delivery) retry(ctx workflow.Context) {
	d.showState(ctx, postdate.Retrying)
	d.rechecked, d.exposed = false, true
	stoppable, stop := workflow.WithCancel(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: d.Shipment.AttemptTimeout() + activityGrace,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		WaitForCancellation: true,
		// The activity itself returns how long to wait and when to give up. This is for
		// a worker that died: however many runs there were before, the next follows soon.
		RetryPolicy: &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: 2 * time.Second},
	}))
	retrying := workflow.ExecuteActivity(stoppable, protocol.RetryActivity,
		protocol.RetryInput{Shipment: d.Shipment, Plan: d.plan, Attempts: d.Attempts})

	_ = workflow.Await(ctx, func() bool { return retrying.IsReady() || d.isPending() })
	if retrying.IsReady() {
		d.slow = false // it is recorded
	} else {
		d.fetchProgress(ctx)
		stop()
	}

	log := d.Attempts
	if err := retrying.Get(ctx, &log); err != nil {
		state, reason, log := protocol.DecodeEnd(err, d.Attempts)
		d.Attempts = log
		if d.canary = protocol.TookOf(log, d.plan.Before); d.canary == postdate.TookPrimary {
			d.canary = ""
		}
		d.finish(state, reason)
	} else {
		d.Attempts = log
		d.evaluate(log.Last())
	}
	if d.state == postdate.Retrying {
		d.state, d.released = postdate.Sending, true
		d.applyPending()
	}
}

// park waits until the endpoint is enabled, or until an Update changes the course of
// d. A Sweep signals when it is; in case that signal is lost, or the endpoint was
// enabled a moment ago and not every process knows, d checks again by itself. The
// time parked does not count as retrying.
func (d *delivery) park(ctx workflow.Context) {
	d.showState(ctx, postdate.Parked)
	d.exposed, d.Signals = true, true
	since, wait := workflow.Now(ctx), firstRecheck
	if d.rechecked {
		wait = laterRecheck
	}
	released, _ := workflow.AwaitWithTimeout(ctx, d.untilExpiry(ctx, wait), func() bool { return d.woken || d.isPending() })
	d.released = released
	d.rechecked, d.woken = !d.woken, false
	d.plan.Since = d.plan.Since.Add(workflow.Now(ctx).Sub(since))

	d.state = postdate.Sending
	d.applyPending()
	if d.state == postdate.Sending {
		d.endWait(ctx, "its endpoint was not enabled")
	}
}

// queue waits in a line until the line releases d, or until an Update changes the
// course of d. In case the line is lost, d is enqueued again now and then, which
// changes nothing as long as its line exists. The time does not count as retrying.
func (d *delivery) queue(ctx workflow.Context) {
	d.showState(ctx, postdate.Waiting)
	d.exposed, d.Signals = true, true
	since := workflow.Now(ctx)
	var lines []string
	d.enqueuing, d.returned = true, false
	err := runDurably(ctx, protocol.QueueActivity, []protocol.EnqueueRequest{d.enqueueRequest()}, &lines)
	d.enqueuing = false
	if err == nil && lines[0] != d.line {
		d.line, d.dequeued = lines[0], false
		_ = workflow.UpsertMemo(ctx, map[string]any{protocol.MemoLine: d.line}) // fails only for what cannot be encoded
	}
	_, _ = workflow.AwaitWithTimeout(ctx, d.untilExpiry(ctx, laterRecheck), func() bool {
		return d.woken || d.superseded || d.isPending() || d.lease != nil || d.returned
	})
	if d.lease != nil {
		d.hold(ctx)
	}
	d.plan.Since = d.plan.Since.Add(workflow.Now(ctx).Sub(since))
	d.Shipment.Dequeued = d.woken || d.pending == fireRequest
	d.dequeued, d.woken = d.dequeued || d.woken, false
	if d.Shipment.Dequeued {
		d.released = true
		d.state = postdate.Sending
	}
	if d.settledAttempt != nil {
		d.afterLease()
	}
	if !d.done() {
		d.applyPending()
	}
	switch {
	case d.done() || d.state == postdate.Retrying:
	case d.superseded:
		d.finish(postdate.Cancelled, byNewerMessage)
	default:
		d.endWait(ctx, "it waited for its turn")
	}
}

// fetchProgress reads the attempts that the pending Retry has made: Temporal does not
// return them when the activity is cancelled between two of them.
func (d *delivery) fetchProgress(ctx workflow.Context) {
	if log := d.recallAttempts(ctx); len(log) > 0 {
		d.Attempts = log
	}
}

// recallAttempts reads the attempts of this run that its history does not have.
func (d *delivery) recallAttempts(ctx workflow.Context) (log postdate.Attempts) {
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout:    activityGrace,
		ScheduleToCloseTimeout: 6 * activityGrace,
		RetryPolicy:            &temporal.RetryPolicy{MaximumAttempts: 3},
	})
	_ = workflow.ExecuteLocalActivity(ctx, protocol.RecallActivity).Get(ctx, &log) // without it, the log is as known
	return log
}

// end closes the execution with the status that says how the delivery ended, or
// continues it as new where it was rescheduled.
func (d *delivery) end(ctx workflow.Context) (*protocol.DeliverResult, error) {
	d.reportTick(ctx)
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	switch d.state {
	case postdate.Expired:
		d.showState(ctx, postdate.Expired)
	case postdate.Dead:
		d.announce(ctx)
	default:
	}
	d.settle(ctx)
	switch d.state {
	case postdate.Delivered:
		return &protocol.DeliverResult{Attempts: d.Attempts}, nil
	case postdate.Cancelled:
		return nil, temporal.NewCanceledError(protocol.DeliverResult{Attempts: d.Attempts, Reason: d.reason})
	case postdate.Scheduled:
		if d.line != "" {
			drainSignals(ctx) // it may have been released a moment ago
		}
		d.showState(ctx, "")
		leaveBurst(ctx)
		d.showSize(ctx)
		if d.Line = d.line; d.dequeued || d.woken {
			d.Line = ""
			d.Shipment.Dequeued = d.Shipment.Dequeued || d.woken
		}
		return nil, workflow.NewContinueAsNewErrorWithOptions(ctx, workflow.ContinueAsNewErrorOptions{
			BackoffStartInterval: max(0, d.WakeAt(workflow.Now(ctx)).Sub(workflow.Now(ctx))),
		}, protocol.DeliverWorkflow, d.DeliverInput)
	default:
		return nil, protocol.EncodeEnd(d.state, d.reason, d.Attempts)
	}
}

// maxAnnounceAttempts bounds the attempts to announce a dead letter: they take about a day.
const maxAnnounceAttempts = 1500

// announce publishes a dead letter to the operator's endpoints. Where that fails for so
// long, the delivery ends all the same.
func (d *delivery) announce(ctx workflow.Context) {
	m := d.Shipment.Message
	if m.Tenant == postdate.OperatorTenant || d.Shipment.Test ||
		workflow.GetVersion(ctx, "announce-dead-letters", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	announcement := d.announcement(workflow.Now(ctx))
	err := runDurably(ctx, protocol.AnnounceActivity, announcement, nil, maxAnnounceAttempts)
	if err != nil {
		workflow.GetLogger(ctx).Warn("failed to announce a dead letter",
			"tenant", m.Tenant, "delivery", d.Shipment.ID(), "endpoint", d.Shipment.To.Endpoint, "error", err)
	}
}
