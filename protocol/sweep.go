package protocol

import "github.com/postdate/postdate"

// SweepAction is what a sweep does to each delivery.
type SweepAction string

// The actions.
const (
	SweepRetry   SweepAction = "retry"   // dead letters are taken up again
	SweepCancel  SweepAction = "cancel"  // what has not ended is cancelled
	SweepRelease SweepAction = "release" // what is parked is sent, oldest first
)

// SweepInput is one thing to be done to many deliveries.
type SweepInput struct {
	Action SweepAction `json:"action"`
	// Filter says to which. Without a state it means those in the states that
	// the action is for.
	Filter postdate.Filter `json:"filter"`
}

// SweepProgress is how far a sweep is: its result, and its heartbeats before.
type SweepProgress struct {
	Found   int `json:"found"`   // deliveries that matched
	Done    int `json:"done"`    // of them, those it was done to
	Skipped int `json:"skipped"` // those that it could not be done to any more
	Failed  int `json:"failed"`  // those that the engine refused
}
