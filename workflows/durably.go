package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// runDurably runs an activity as a local activity, for which only its result is recorded,
// and falls back to a regular one, retried without limit unless maxAttempts is given.
func runDurably(ctx workflow.Context, name string, in, out any, maxAttempts ...int32) error {
	err := workflow.ExecuteLocalActivity(workflow.WithLocalActivityOptions(ctx, workflow.LocalActivityOptions{
		StartToCloseTimeout: activityGrace,
		RetryPolicy:         &temporal.RetryPolicy{MaximumAttempts: 2},
	}), name, in).Get(ctx, out)
	if err == nil {
		return nil
	}
	policy := &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute}
	if len(maxAttempts) > 0 {
		policy.MaximumAttempts = maxAttempts[0]
	}
	return workflow.ExecuteActivity(workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 3 * activityGrace, HeartbeatTimeout: protocol.HeartbeatTimeout, RetryPolicy: policy,
	}), name, in).Get(ctx, out)
}
