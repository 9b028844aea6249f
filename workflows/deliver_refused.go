package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// askLater waits until d is to ask for a permit again, or until an Update changes its course.
// It is a timer of the execution, which costs nothing while others hold all permits; Temporal's
// Web UI shows the reason beside it, and whoever reads the delivery finds both. The time does
// not count as retrying.
func (d *delivery) askLater(ctx workflow.Context, reason string, wait time.Duration) {
	since := workflow.Now(ctx)
	d.state = postdate.Retrying
	d.showState(ctx, postdate.Retrying)
	wait = d.untilExpiry(ctx, wait)
	timer := workflow.AwaitOptions{Timeout: wait, TimerOptions: workflow.TimerOptions{Summary: reason}}
	_, _ = workflow.AwaitWithOptions(ctx, timer, d.isPending) // fails only if ctx is cancelled, which never happens
	now := workflow.Now(ctx)
	d.released = d.isPending()
	d.exposed = d.exposed || d.released // the timer may still fire
	d.plan.Since = d.plan.Since.Add(now.Sub(since))

	d.state = postdate.Sending
	d.applyPending()
	switch {
	case d.state == postdate.Cancelled && d.byTemporal && now.Sub(since) >= wait:
		d.recall(ctx)
	case d.state == postdate.Sending:
		d.endWait(ctx, "its receiver had as many attempts as it may")
	}
}
