package protocol

import "github.com/postdate/postdate"

// SweepAction is what a sweep does to each delivery.
type SweepAction string

// The actions.
const (
	SweepRetry   SweepAction = "retry"   // retries dead letters
	SweepCancel  SweepAction = "cancel"  // cancels what has not ended
	SweepRelease SweepAction = "release" // releases what is parked, oldest first
	// SweepPostpone puts off what is not due yet.
	SweepPostpone SweepAction = "postpone"
)

// SweepInput is an action on many deliveries.
type SweepInput struct {
	Action SweepAction `json:"action"`
	// Filter says which. Without a state it matches the states that the action is for.
	Filter postdate.Filter `json:"filter"`
	// By is how much later each is due, of a SweepPostpone.
	By postdate.Duration `json:"by,omitempty"`
}

// SweepProgress is how far a sweep is: its result, and its heartbeats before.
type SweepProgress struct {
	Found   int `json:"found"`   // deliveries that matched
	Done    int `json:"done"`    // those that were changed
	Skipped int `json:"skipped"` // those for which it was too late
	Failed  int `json:"failed"`  // those whose change failed
}
