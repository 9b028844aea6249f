// Package retry repeats requests that Temporal refuses for a moment only.
package retry

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
)

const (
	firstPause   = 20 * time.Millisecond
	longestPause = time.Second
)

// With calls do until it succeeds, or fails for a reason that stays. Temporal accepts
// ten Updates of an execution at a time, and none while the execution continues as new.
// When ctx ends, With returns the last error of do.
func With(ctx context.Context, do func(context.Context) error) error {
	pause := firstPause
	for {
		err := do(ctx)
		if err == nil || !isTransient(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
		pause = min(2*pause, longestPause)
	}
}

// isTransient reports whether the same call may succeed later.
func isTransient(err error) bool {
	if _, is := errors.AsType[*serviceerror.ResourceExhausted](err); is {
		return true
	}
	if _, is := errors.AsType[*serviceerror.Unavailable](err); is {
		return true
	}
	if _, is := errors.AsType[*serviceerror.WorkflowNotReady](err); is {
		return true
	}
	notFound, is := errors.AsType[*serviceerror.NotFound](err)
	return is && abortedMessages[notFound.Message]
}

// abortedMessages are the messages with which Temporal refuses an Update of an execution
// that is just continuing as new.
var abortedMessages = map[string]bool{
	"workflow update was aborted by closing workflow": true,
	"workflow execution already completed":            true,
}
