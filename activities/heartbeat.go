package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
)

// heartbeatInterval is how often a regular activity heartbeats: a few times within
// [protocol.HeartbeatTimeout]. One that takes less than that costs no heartbeat.
const heartbeatInterval = 3 * time.Second

// startHeartbeats records heartbeats in the background until stop is called, each with the
// details as they are then, so that Temporal notices soon when the worker has died. Local
// activities have no heartbeats: their workflow task has.
func startHeartbeats(ctx context.Context, interval time.Duration, details func() any) (stop func()) {
	if activity.GetInfo(ctx).IsLocalActivity {
		return func() {}
	}
	// An attempt that is under way continues when its activity is cancelled, and so do its
	// heartbeats: without them its outcome would be lost.
	ctx = context.WithoutCancel(ctx)
	beating, cancel := context.WithCancel(ctx)
	var beats sync.WaitGroup
	beats.Go(func() {
		ticks := time.NewTicker(interval)
		defer ticks.Stop()
		for {
			select {
			case <-beating.Done():
				return
			case <-ticks.C:
				activity.RecordHeartbeat(ctx, details())
			}
		}
	})
	return func() {
		cancel()
		beats.Wait() // no older details follow the activity's own
	}
}

// noDetails are the details of activities that begin again from the start.
func noDetails() any { return nil }

// heartbeating is f with heartbeats in the background.
func heartbeating[In, Out any](f func(context.Context, In) (Out, error)) func(context.Context, In) (Out, error) {
	return func(ctx context.Context, in In) (Out, error) {
		defer startHeartbeats(ctx, heartbeatInterval, noDetails)()
		return f(ctx, in)
	}
}

// heartbeatingOnly is the same for activities without a result.
func heartbeatingOnly[In any](f func(context.Context, In) error) func(context.Context, In) error {
	return func(ctx context.Context, in In) error {
		defer startHeartbeats(ctx, heartbeatInterval, noDetails)()
		return f(ctx, in)
	}
}
