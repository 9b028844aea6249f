package deliveries

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// record is what Temporal has of a delivery, as it was read at one moment: from it
// the [postdate.Delivery] is made.
type record struct {
	input    protocol.DeliverInput
	accepted protocol.Accepted
	attempts postdate.Attempts
	// tenant is what is configured for its tenant.
	tenant *postdate.Tenant
	// info describes the execution that carries the delivery: its own, its group's or
	// its line's.
	info *workflowpb.WorkflowExecutionInfo

	// grouped: it is carried by a group.
	grouped bool
	// scheduled says where it stands in the ScheduleGroup that carries it: nil where none does.
	scheduled *scheduleState
	// line is the line that carries it, if one does, and place its place there.
	line  *line
	place int
	// lineID is the workflow id of the line in which it waits, or has waited: it may
	// have an execution of its own all the same.
	lineID string
	// queuedFor is the id of the canary in whose queue it was found.
	queuedFor string
	// position and health are where it stands in its endpoint's queue, and how the
	// endpoint is: nil where that is not known.
	position *postdate.QueuePosition
	health   *postdate.Health
	// task is the workflow task that is scheduled or under way, if one is.
	task *workflowpb.PendingWorkflowTaskInfo
	// retry is the activity that makes the attempts after the first, while it is pending.
	retry *workflowpb.PendingActivityInfo
	// refusal is why it got no permit last, and refusedUntil when it asks again.
	refusal      string
	refusedUntil time.Time
	// sending: a single attempt is under way as an activity, or about to be.
	sending bool
	// failure is why the last attempt failed, or how the delivery ended.
	failure string
}

// delivery is the noun that r describes, as it stands at now.
func (r *record) delivery(now time.Time) postdate.Delivery {
	d := r.input.Delivery(r.accepted, r.tenant)
	d.Attempts = r.attempts
	d.Canary = r.canary(now)
	d.EndedAt = r.endedAt()
	d.Execution = executionOf(r.info)
	d.State = r.state(now)
	switch d.State {
	case postdate.Scheduled:
		protocol.SetUnstarted(&d, r.delay(), now)
		return d
	case postdate.Waiting:
		if d.Queue = r.position; d.Queue != nil {
			d.NextAttemptAt = d.Queue.EstimatedAt
		}
	case postdate.Retrying:
		if d.NextAttemptAt = asTime(r.retry.GetNextAttemptScheduleTime()); r.isRefused(now) {
			d.NextAttemptAt = r.refusedUntil
		}
	case postdate.Sending:
		if r.retry == nil && !r.sending && !r.isAwake() && !r.grouped && r.line == nil && !r.input.Fired && stateAttribute(r.info) != postdate.Sending {
			protocol.SetUnstarted(&d, 0, now)
			return d
		}
	default:
	}
	d.Reason = r.reason(now)
	return d
}

// canary is the id of the canary to which its last attempt went, or for which it waits.
func (r *record) canary(now time.Time) string {
	switch {
	case r.state(now) == postdate.Waiting:
		return r.queuedFor
	case len(r.attempts) > 0:
		return r.attempts.Last().Canary
	}
	return ""
}

// delay is how long after it is due its execution starts. A difference of less than a
// second is that of two clocks.
func (r *record) delay() time.Duration {
	delay := asTime(r.info.GetExecutionTime()).Sub(r.input.Shipment.DueAt)
	if delay < time.Second {
		return 0
	}
	return delay
}

// endedAt is when it ended: zero where it has not.
func (r *record) endedAt() time.Time {
	if r.line != nil {
		return r.line.endedAt(r.place)
	}
	if r.scheduled != nil {
		return r.scheduled.endedAt
	}
	return asTime(r.info.GetCloseTime())
}

// state is where the delivery stands. Temporal's lists know less: see [stateOf].
func (r *record) state(now time.Time) postdate.State {
	if r.line != nil {
		state, _ := r.line.state(r.place, now)
		return state
	}
	if r.scheduled != nil {
		return r.scheduled.state
	}
	state := stateOf(r.info, now)
	switch {
	case state.Final():
		return state
	case r.sending:
		return postdate.Sending
	case r.grouped || state == postdate.Parked || state == postdate.Waiting && !r.isAwake():
		return state
	case r.waitsForRetry() || state == postdate.Retrying && r.isRefused(now):
		return postdate.Retrying
	case r.retry != nil || state == postdate.Retrying || state == postdate.Waiting || r.isAwake():
		return postdate.Sending
	default:
		return state
	}
}

// attempting reports whether an attempt is under way, or will be once a worker takes it up.
// A worker that is only asked for something before the delivery is due makes none.
func (r *record) attempting(now time.Time) bool {
	idle := r.line == nil && r.scheduled == nil && r.retry == nil && !r.sending && stateOf(r.info, now) == postdate.Scheduled
	return !idle && r.state(now) == postdate.Sending
}

// stateOf is where an execution stands, as far as Temporal's lists know. They are
// queried by the conditions of [conditionOf], which say the same.
func stateOf(info *workflowpb.WorkflowExecutionInfo, now time.Time) postdate.State {
	switch info.GetStatus() {
	case enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED:
		return postdate.Delivered
	case enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED:
		return postdate.Cancelled
	case enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, enumspb.WORKFLOW_EXECUTION_STATUS_TIMED_OUT:
		if stateAttribute(info) == postdate.Expired {
			return postdate.Expired
		}
		return postdate.Dead
	default: // open
	}
	switch state := stateAttribute(info); {
	case state == postdate.Retrying || state == postdate.Waiting || state == postdate.Parked || state == postdate.Sending:
		return state
	case info.GetExecutionTime().AsTime().After(now):
		return postdate.Scheduled
	default:
		return postdate.Sending
	}
}

// isAwake reports whether a worker runs its workflow code.
func (r *record) isAwake() bool {
	return r.task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED
}

// isRefused reports whether it waits until it asks for a permit again.
func (r *record) isRefused(now time.Time) bool {
	return r.retry == nil && r.refusedUntil.After(now)
}

// waitsForRetry reports whether it is between two attempts.
func (r *record) waitsForRetry() bool {
	return r.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED ||
		r.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_PAUSED
}

// reason says why the delivery is not sent yet, or how it ended.
func (r *record) reason(now time.Time) string {
	number := r.attempts.Next()
	switch r.state(now) {
	case postdate.Waiting:
		return r.whyWaiting(now)
	case postdate.Sending:
		if r.line != nil && !r.line.leased[r.place].IsZero() {
			return "a consumer has it until " + r.line.leased[r.place].UTC().Format(time.RFC3339)
		}
		return fmt.Sprintf("attempt %d is under way", number)
	case postdate.Retrying:
		if r.line != nil {
			return r.lastFailure() // the rest shows once it has an execution of its own, in a moment
		}
		if r.isRefused(now) {
			return fmt.Sprintf("%s; attempt %d follows at %s", r.refusal, number, r.refusedUntil.Format(time.RFC3339))
		}
		return fmt.Sprintf("%s; attempt %d %s", r.lastFailure(), number, r.whenRetried())
	case postdate.Parked:
		return "the endpoint is not enabled: held until it is"
	default:
		return r.failure
	}
}

// whyWaiting says what the delivery waits for.
func (r *record) whyWaiting(now time.Time) string {
	switch h := r.health; {
	case h == nil:
	case h.State != "" && h.State != postdate.Enabled:
		return "the endpoint is not enabled: held until it is"
	case h.Breaker == postdate.BreakerOpen && h.BreakerUntil.After(now):
		return because("the endpoint's circuit breaker is open until "+h.BreakerUntil.UTC().Format(time.RFC3339), h.Reason)
	case h.Breaker != "" && h.Breaker != postdate.BreakerClosed:
		return because("the endpoint's circuit breaker is "+string(h.Breaker), h.Reason)
	}
	switch position := r.position; {
	case position == nil:
		return "waits for its turn at the endpoint"
	case position.EstimatedAt.IsZero():
		return fmt.Sprintf("waits for its turn: about %d before it", position.Ahead)
	default:
		return fmt.Sprintf("waits for its turn: about %d before it, at about %s", position.Ahead, position.EstimatedAt.Format(time.RFC3339))
	}
}

// because adds a reason to text, if there is one.
func because(text, reason string) string {
	if reason == "" {
		return text
	}
	return text + ": " + reason
}

// lastFailure says how the last attempt failed, or why none could be made.
func (r *record) lastFailure() string {
	if len(r.attempts) > 0 {
		// Temporal keeps less of an attempt than its log does. Any other failure is
		// our own, after that attempt.
		if last := r.attempts.Last().Summary(); strings.HasPrefix(last, r.failure) {
			return last
		}
	}
	return cmp.Or(r.failure, "no attempt could be made")
}

func (r *record) whenRetried() string {
	next := r.retry.GetNextAttemptScheduleTime()
	switch {
	case r.retry.GetPaused():
		return "is paused by the operator, in Temporal"
	case next != nil:
		return "follows at " + next.AsTime().Format(time.RFC3339)
	default:
		return "is due, and waits for a worker to take it up"
	}
}

// validateRetry refuses to retry what is not a dead letter, or comes too late.
func (r *record) validateRetry(now time.Time) error {
	if state := r.state(now); state != postdate.Dead {
		return postdate.Errorf(postdate.Conflict, "", "only what is dead can be retried, and this is %s", state)
	}
	if r.input.Shipment.Test {
		return postdate.Errorf(postdate.Conflict, "", "a test is not retried: test the endpoint again")
	}
	if expires := r.input.ExpiresAt; !expires.IsZero() && !now.Before(expires) {
		return postdate.Errorf(postdate.Conflict, "", "it expired at %s", expires.Format(time.RFC3339))
	}
	return nil
}

func executionOf(info *workflowpb.WorkflowExecutionInfo) postdate.Execution {
	run := info.GetExecution()
	return postdate.Execution{WorkflowID: run.GetWorkflowId(), RunID: run.GetRunId()}
}

// asTime is t, or the zero time where there is none.
func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
