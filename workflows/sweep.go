package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// sweepTimeout bounds one try of a sweep: about a hundred million deliveries.
const sweepTimeout = 7 * 24 * time.Hour

// maxSweepTries is how often a sweep is tried, with up to a minute between: more
// than half a day, in which an engine that cannot list comes back, or somebody
// sees why it does not.
const maxSweepTries = 1000

// Sweep does one thing to many deliveries. It goes on whether or not anybody
// waits for it. Its activity is on [ControlQueue], so that it never waits behind
// the deliveries that it is about.
func Sweep(ctx workflow.Context, in protocol.SweepInput) (*protocol.SweepProgress, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           protocol.ControlQueue,
		StartToCloseTimeout: sweepTimeout,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: maxSweepTries},
	})
	var progress protocol.SweepProgress
	if err := workflow.ExecuteActivity(ctx, protocol.SweepActivity, in).Get(ctx, &progress); err != nil {
		return nil, err
	}
	return &progress, nil
}
