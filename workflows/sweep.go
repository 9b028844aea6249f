package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// sweepTimeout bounds one attempt at a sweep: about a hundred million deliveries.
const sweepTimeout = 7 * 24 * time.Hour

// maxSweepAttempts bounds the attempts at a sweep, with up to a minute between two: more
// than half a day, in which lists that fail come back, or somebody sees why they do not.
const maxSweepAttempts = 1000

// Sweep does one thing to many deliveries. It continues whether or not its caller waits
// for it. Its activity is on [protocol.OperationQueue], so that it never waits behind the
// deliveries that it changes, nor tenants and endpoints behind it. A release is on
// [protocol.ControlQueue]: an endpoint that is enabled waits for no operation.
func Sweep(ctx workflow.Context, in protocol.SweepInput) (*protocol.SweepProgress, error) {
	queue := protocol.OperationQueue
	if in.Action == protocol.SweepRelease {
		queue = protocol.ControlQueue
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           queue,
		StartToCloseTimeout: sweepTimeout,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: maxSweepAttempts},
	})
	var progress protocol.SweepProgress
	if err := workflow.ExecuteActivity(ctx, protocol.SweepActivity, in).Get(ctx, &progress); err != nil {
		return nil, err
	}
	return &progress, nil
}
