package protocol

import (
	"time"

	"github.com/postdate/postdate"
)

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

// Found is what a sweep found in one execution: a delivery, or schedules that share a
// ScheduleGroup.
type Found struct {
	// ID is that of the delivery: empty of schedules that share a ScheduleGroup.
	ID string
	// Group is the id of that, see [ScheduleGroupID], and Places are theirs in it.
	Group  string
	Places []int
	// Run is the run in which they were found, if all that waited in it are among them: empty
	// if others do too. DueAt is when the first of them is due.
	Run   string
	DueAt time.Time
}

// SweepProgress is how far a sweep is: its result, and its heartbeats before.
type SweepProgress struct {
	Found   int `json:"found"`   // deliveries that matched
	Done    int `json:"done"`    // those that were changed
	Skipped int `json:"skipped"` // those for which it was too late
	Failed  int `json:"failed"`  // those whose change failed
}
