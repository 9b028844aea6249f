package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"
)

// runDurably has an activity done: right here in the worker, where nothing is written
// for it but its result, or, if that fails, by the engine, as often as it takes or
// as tries says.
func runDurably(ctx workflow.Context, name string, in, out any, tries ...int32) error {
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 2},
	}), name, in).Get(ctx, out)
	if err == nil {
		return nil
	}
	again := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	if len(tries) > 0 {
		again.MaximumAttempts = tries[0]
	}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 3 * activityGrace, RetryPolicy: again,
	}), name, in).Get(ctx, out)
}
