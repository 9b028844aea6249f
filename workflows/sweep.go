package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/activities"
)

// What a sweep is asked for and answers is the activity's: here it is under the
// names by which the API knows it.
type (
	// SweepAction is what a sweep does to each delivery.
	SweepAction = activities.SweepAction
	// SweepInput is one thing to be done to many deliveries.
	SweepInput = activities.SweepInput
	// SweepProgress is how far a sweep is: its result, and the heartbeats of its
	// pending activity before.
	SweepProgress = activities.SweepProgress
)

// The actions.
const (
	SweepRetry   = activities.SweepRetry
	SweepCancel  = activities.SweepCancel
	SweepRelease = activities.SweepRelease
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
func Sweep(ctx workflow.Context, in SweepInput) (*SweepProgress, error) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		TaskQueue:           ControlQueue,
		StartToCloseTimeout: sweepTimeout,
		HeartbeatTimeout:    30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute, MaximumAttempts: maxSweepTries},
	})
	var progress SweepProgress
	if err := workflow.ExecuteActivity(ctx, activities.SweepName, in).Get(ctx, &progress); err != nil {
		return nil, err
	}
	return &progress, nil
}
