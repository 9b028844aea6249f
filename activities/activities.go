// Package activities is what workflows ask the world to do: make an attempt,
// keep making it, remember what was made.
package activities

import (
	"context"
	"log/slog"
	"time"

	"github.com/postdate/postdate"
)

// The activities, as workflows name them: by name, so that a history can be
// replayed where no activities are.
const (
	SendName   = "Send"
	RetryName  = "Retry"
	RecallName = "Recall"
)

// Sender makes one attempt. What concerns the receiver is told by the attempt;
// the error says that none could be made, for a reason of our own.
type Sender interface {
	Send(context.Context, postdate.Message, postdate.Destination) (postdate.Attempt, error)
}

// Engine answers what the engine knows of an activity that is being retried.
type Engine interface {
	// PendingAttempts is the log that the pending activity of a workflow keeps
	// in its heartbeats. It is empty where nothing is pending.
	PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error)
}

// Activities holds what the activities need. Its methods are the activities.
type Activities struct {
	Sender Sender
	Engine Engine
	Log    *slog.Logger
	// Now is the clock by which attempts expire.
	Now func() time.Time
}
