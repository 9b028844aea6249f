package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// send makes one attempt.
//
// A local activity costs least: nothing is recorded for it but its result, with the
// workflow task that runs it. But if an event arrives during that task, Temporal refuses
// to close the execution with it, and the task, and the attempt with it, is repeated.
// Updates do no harm, since they are no events until a task accepts them. So the attempt
// is a local activity only as long as nothing was set that could fire, and nobody has
// reason to signal the delivery. Otherwise it is a regular activity, whose result
// Temporal records at once.
func (d *delivery) send(ctx workflow.Context) (attempt postdate.Attempt, err error) {
	task, timeout := d.Shipment, d.Shipment.AttemptTimeout()+activityGrace
	task.Number, task.ExpiresAt = d.Attempts.Next(), d.ExpiresAt
	task.Took = protocol.TookOf(d.Attempts, d.plan.Before)
	// It is made once: after a failure of our own, Retry continues.
	once := &temporal.RetryPolicy{MaximumAttempts: 1}
	if d.exposed && workflow.GetVersion(ctx, "exposed-attempts-are-activities", workflow.DefaultVersion, 1) > workflow.DefaultVersion {
		if d.released {
			d.showState(ctx, postdate.Sending)
		}
		ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
			StartToCloseTimeout: timeout, HeartbeatTimeout: protocol.HeartbeatTimeout, RetryPolicy: once,
		})
		err = workflow.ExecuteActivity(ctx, protocol.SendActivity, task).Get(ctx, &attempt)
		return attempt, err
	}
	task.Burst = d.burst
	ctx = workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{StartToCloseTimeout: timeout, RetryPolicy: once})
	err = workflow.ExecuteLocalActivity(ctx, protocol.SendActivity, task).Get(ctx, &attempt)
	d.slow = d.slow || isSlow(attempt)
	return attempt, err
}

// recall looks for an attempt that was made in a workflow task which Temporal repeats,
// since its own request to cancel arrived during that task: that attempt came first.
func (d *delivery) recall(ctx workflow.Context) {
	if workflow.GetVersion(ctx, "cancelled-attempts-are-recalled", workflow.DefaultVersion, 1) == workflow.DefaultVersion {
		return
	}
	log := d.recallAttempts(ctx)
	if len(log) == 0 {
		return
	}
	d.Attempts = d.Attempts.Append(log.Last())
	d.setPending(cancelRequest)
	d.evaluate(d.Attempts.Last())
	if !d.done() {
		d.applyPending()
	}
}

// slowAttempt is how long an attempt in a local activity may take without being recorded
// before the execution closes. What arrives in a shorter time, such as a request to cancel
// from Temporal's Web UI, arrives so rarely that the memory of the process suffices.
const slowAttempt = 500 * time.Millisecond

func isSlow(a postdate.Attempt) bool {
	return time.Duration(a.DurationMS)*time.Millisecond >= slowAttempt
}

// settle records a slow attempt, if there is one, before the execution closes.
func (d *delivery) settle(ctx workflow.Context) {
	if d.slow {
		settle(ctx)
	}
}

// settle ends the workflow task, so that all that was done in it is recorded. What has
// arrived during that task, or arrives during the next, repeats nothing.
func settle(ctx workflow.Context) { _ = workflow.Sleep(ctx, time.Millisecond) } // fails only if ctx is cancelled
