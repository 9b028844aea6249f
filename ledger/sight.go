package ledger

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// Sight is what was seen of a delivery at one moment.
type Sight struct {
	Input    workflows.DeliverInput
	Accepted workflows.Accepted
	Attempts postdate.Attempts
	// Timeout bounds each attempt.
	Timeout postdate.Duration
	// Info is the engine's, of the execution that carries the delivery.
	Info *workflowpb.WorkflowExecutionInfo

	// grouped tells that it travels in a group, whose execution Info is.
	grouped bool
	// line is the one in which it travels, if it does, and place its place there:
	// Info is that one's execution.
	line  *line
	place int
	// lineID is the line in which it waits, or has waited: it may have an execution
	// of its own all the same.
	lineID string
	// turn and health are where it stands in line, and how its endpoint is: nil
	// where nobody could tell.
	turn   *postdate.Turn
	health *postdate.Health
	// task is the workflow task that is scheduled or under way, if one is.
	task *workflowpb.PendingWorkflowTaskInfo
	// retry is the activity that makes the attempts after the first, while it does.
	retry *workflowpb.PendingActivityInfo
	// failure is why the last attempt failed, or how the delivery ended.
	failure string
}

// EndedAt is when it ended: zero where it has not.
func (v *Sight) EndedAt() time.Time {
	if v.line != nil {
		return v.line.endedAt(v.place)
	}
	return asTime(v.Info.GetCloseTime())
}

// Turn is where it stands in line, if it waits there and that is known.
func (v *Sight) Turn(now time.Time) *postdate.Turn {
	if v.State(now) != postdate.Waiting {
		return nil
	}
	return v.turn
}

// State is where v stands. The engine's lists know less: see [stateOf].
func (v *Sight) State(now time.Time) postdate.State {
	if v.line != nil {
		state, _ := v.line.state(v.place, now)
		return state
	}
	state := stateOf(v.Info, now)
	switch {
	case state.Over() || v.grouped || state == postdate.Parked || state == postdate.Waiting && !v.isAwake():
		return state
	case v.waitsForRetry():
		return postdate.Retrying
	case v.retry != nil || state == postdate.Retrying || state == postdate.Waiting || v.isAwake():
		return postdate.Sending
	default:
		return state
	}
}

// stateOf is where an execution stands, as far as the engine's lists know. They
// are asked for it by the conditions in [conditionOf], which say the same.
func stateOf(info *workflowpb.WorkflowExecutionInfo, now time.Time) postdate.State {
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return postdate.Delivered
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return postdate.Cancelled
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		if marked(info) == postdate.Expired {
			return postdate.Expired
		}
		return postdate.Dead
	default: // open
	}
	switch mark := marked(info); {
	case mark == postdate.Retrying || mark == postdate.Waiting || mark == postdate.Parked:
		return mark
	case info.GetExecutionTime().AsTime().After(now):
		return postdate.Scheduled
	default:
		return postdate.Sending
	}
}

// putOff is how long after it is due it is woken, being one of a crowd. Where the
// engine's clock and ours differ a little, that is nothing.
func (v *Sight) putOff() time.Duration {
	late := asTime(v.Info.GetExecutionTime()).Sub(v.Input.Shipment.DueAt)
	if late < time.Second {
		return 0
	}
	return late
}

// isAwake tells whether a worker is at it.
func (v *Sight) isAwake() bool {
	return v.task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED
}

// waitsForRetry tells whether v lies between two attempts.
func (v *Sight) waitsForRetry() bool {
	return v.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED ||
		v.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_PAUSED
}

// NextAttempt is when the next attempt is made, if one is waited for.
func (v *Sight) NextAttempt(now time.Time) time.Time {
	switch v.State(now) {
	case postdate.Scheduled:
		if v.putOff() > 0 {
			return asTime(v.Info.GetExecutionTime())
		}
		return v.Input.Shipment.DueAt
	case postdate.Waiting:
		if v.turn != nil {
			return v.turn.At
		}
		return time.Time{}
	case postdate.Retrying:
		return asTime(v.retry.GetNextAttemptScheduleTime())
	default:
		return time.Time{}
	}
}

// Reason says why v is not sent yet, or how it ended.
func (v *Sight) Reason(now time.Time) string {
	number := v.Attempts.Next()
	switch v.State(now) {
	case postdate.Scheduled:
		if late := v.putOff(); late > 0 {
			return fmt.Sprintf("sleeps until it is due, and %s longer: many of the tenant's are due at that moment", late.Round(time.Second))
		}
		return "sleeps until it is due"
	case postdate.Waiting:
		return v.whyWaiting(now)
	case postdate.Sending:
		if v.retry == nil && !v.isAwake() && !v.grouped && v.line == nil {
			return fmt.Sprintf("due since %s: waits for a worker to take it up", v.Input.Shipment.DueAt.Format(time.RFC3339))
		}
		return fmt.Sprintf("attempt %d is under way", number)
	case postdate.Retrying:
		if v.line != nil {
			return v.lastFailure() // what follows shows once it has left, in a moment
		}
		return fmt.Sprintf("%s; attempt %d %s", v.lastFailure(), number, v.whenRetried())
	case postdate.Parked:
		return "the endpoint is not enabled: held until it is"
	default:
		return v.failure
	}
}

// whyWaiting says what stands between v and its turn.
func (v *Sight) whyWaiting(now time.Time) string {
	switch h := v.health; {
	case h == nil:
	case h.State != "" && h.State != postdate.Enabled:
		return "the endpoint is not enabled: held until it is"
	case h.Breaker == postdate.BreakerOpen && h.BreakerUntil.After(now):
		return because("the endpoint's circuit breaker is open until "+h.BreakerUntil.UTC().Format(time.RFC3339), h.Reason)
	case h.Breaker != "" && h.Breaker != postdate.BreakerClosed:
		return because("the endpoint's circuit breaker is "+string(h.Breaker), h.Reason)
	}
	switch turn := v.turn; {
	case turn == nil:
		return "waits for its turn at the endpoint"
	case turn.At.IsZero():
		return fmt.Sprintf("waits for its turn: about %d before it", turn.Ahead)
	default:
		return fmt.Sprintf("waits for its turn: about %d before it, at about %s", turn.Ahead, turn.At.Format(time.RFC3339))
	}
}

// because adds a reason to text, if there is one.
func because(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// lastFailure says what came of the last attempt, or why none could be made.
func (v *Sight) lastFailure() string {
	if len(v.Attempts) > 0 {
		// Of an attempt the engine keeps less than the log does. What else it
		// tells is a failure of our own, after that attempt.
		if last := v.Attempts.Last().Summary(); strings.HasPrefix(last, v.failure) {
			return last
		}
	}
	return cmp.Or(v.failure, "no attempt could be made")
}

func (v *Sight) whenRetried() string {
	next := v.retry.GetNextAttemptScheduleTime()
	switch {
	case v.retry.GetPaused():
		return "is paused by the operator, in the engine"
	case next != nil:
		return "follows at " + next.AsTime().Format(time.RFC3339)
	default:
		return "is due, and waits for a worker to take it up"
	}
}

// mayRetry refuses to retry what is not a dead letter, or comes too late.
func (v *Sight) mayRetry(now time.Time) error {
	if state := v.State(now); state != postdate.Dead {
		return postdate.Errorf(postdate.Conflict, "", "only what is dead can be retried, and this is %s", state)
	}
	if v.Input.Shipment.Test {
		return postdate.Errorf(postdate.Conflict, "", "a test is not retried: test the endpoint again")
	}
	if expires := v.Input.ExpiresAt; !expires.IsZero() && !now.Before(expires) {
		return postdate.Errorf(postdate.Conflict, "", "it expired at %s", expires.Format(time.RFC3339))
	}
	return nil
}

// asTime is t, or the zero time where there is none.
func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
