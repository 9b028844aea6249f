// Package retry asks the engine until it has time for an answer.
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

// With calls ask until it has an answer, as long as it is the engine that is
// busy: it takes ten Updates of an execution at a time, and none while that
// continues as new. When ctx ends, the answer is the last of the engine's.
func With(ctx context.Context, ask func(context.Context) error) error {
	pause := firstPause
	for {
		err := ask(ctx)
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

// isTransient tells whether err is one of the engine's that the same call may not
// meet again.
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
	gone, is := errors.AsType[*serviceerror.NotFound](err)
	return is && abortedMessages[gone.Message]
}

// abortedMessages are the engine's words for an Update that came just as the execution
// continued as new.
var abortedMessages = map[string]bool{
	"workflow update was aborted by closing workflow": true,
	"workflow execution already completed":            true,
}
