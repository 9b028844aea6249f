package protocol

import (
	"fmt"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"
)

// IntakeWorkflow carries records that were read from a stream until each has the execution
// that it asks for.
const IntakeWorkflow = "Intake"

// StartIntakeActivity starts what an Intake carries.
const StartIntakeActivity = "StartIntake"

// MemoIntake of an Intake holds an [IntakeRecords].
const MemoIntake = "intake"

// IntakeInput is what some records of a stream ask for: executions, whose ids follow from
// the id of the Intake and the places of the records, so that starting them can be repeated.
type IntakeInput struct {
	// Stream is the name that the operator gave it.
	Stream string `json:"stream"`
	// Positions are those of the records.
	Positions []int64 `json:"positions"`
	// Dispatches carry the events: those without names together.
	Dispatches []IntakeDispatch `json:"dispatches,omitempty"`
	// Groups carry schedules without names, and Schedules are those that travel alone.
	Groups    []ScheduleGroupInput `json:"groups,omitempty"`
	Schedules []IntakeSchedule     `json:"schedules,omitempty"`
}

// IntakeDispatch is a Dispatch that is to be started.
type IntakeDispatch struct {
	WorkflowID string        `json:"workflow_id"`
	Input      DispatchInput `json:"input"`
	// Named is the name of its one event, and Position the record's: others have none.
	Named    string `json:"named,omitempty"`
	Position int64  `json:"position,omitempty"`
}

// IntakeSchedule is a schedule that is to have a Deliver of its own.
type IntakeSchedule struct {
	LeavingDelivery
	// Named: its sender chose its id. Position is the record's.
	Named    bool  `json:"named,omitempty"`
	Position int64 `json:"position,omitempty"`
}

// IntakeResult is what came of the records of an Intake.
type IntakeResult struct {
	// Conflicts are those that were refused, since another message has their id.
	Conflicts []IntakeConflict `json:"conflicts,omitempty"`
}

// IntakeConflict is a record that was refused.
type IntakeConflict struct {
	Position int64  `json:"position"`
	Reason   string `json:"reason"`
}

// IntakeRecords is the memo of an Intake: the positions of the records that it carries.
type IntakeRecords struct {
	Positions []int64 `json:"positions"`
}

// IntakeID is the workflow id of the Intake of that number for a block of a stream's records.
func IntakeID(stream, block string, number int) string {
	return fmt.Sprintf("intake/%s/%s/%d", stream, block, number)
}

// IntakeOptions are the options to start an Intake: once for its id, at once.
func IntakeOptions(id string, in IntakeInput) client.StartWorkflowOptions {
	options := onceOptions(id, TaskQueue, in.Stream)
	options.TypedSearchAttributes = temporal.NewSearchAttributes()
	options.Memo = map[string]any{MemoIntake: IntakeRecords{Positions: in.Positions}}
	options.StaticSummary = summary(fmt.Sprintf("%d records", len(in.Positions)), in.Stream)
	return options
}
