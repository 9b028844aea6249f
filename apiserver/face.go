package apiserver

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	workflowpb "go.temporal.io/api/workflow/v1"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/postdate/postdate"
)

// face shows v, whichever state it is in.
func (v *sight) face(now time.Time) Delivery {
	shipment := v.in.Shipment
	return Delivery{
		ID:            shipment.Message.ID,
		State:         v.state(now),
		Reason:        v.reason(now),
		Entity:        shipment.Message.Entity,
		Type:          shipment.Message.Type,
		Data:          shipment.Message.Data,
		To:            shipment.To,
		DueAt:         shipment.DueAt,
		NextAttemptAt: v.nextAttempt(now),
		CreatedAt:     v.told.At,
		EndedAt:       asTime(v.info.GetCloseTime()),
		ExpiresAt:     v.in.ExpiresAt,
		Timeout:       shipment.Timeout,
		Retry:         v.in.Retry,
		Attempts:      attemptsOf(v.attempts),
		Link:          v.link(v.info),
	}
}

// state is where v stands. The engine's lists know less: see [stateOf].
func (v *sight) state(now time.Time) postdate.State {
	state := stateOf(v.info, now)
	switch {
	case state.Over():
		return state
	case v.waitsForRetry():
		return postdate.Retrying
	case v.retry != nil || state == postdate.Retrying || v.isAwake():
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
	switch {
	case marked(info) == postdate.Retrying:
		return postdate.Retrying
	case info.GetExecutionTime().AsTime().After(now):
		return postdate.Scheduled
	default:
		return postdate.Sending
	}
}

// isAwake tells whether a worker is at it.
func (v *sight) isAwake() bool {
	return v.task.GetState() == enumspb.PENDING_WORKFLOW_TASK_STATE_STARTED
}

// waitsForRetry tells whether v lies between two attempts.
func (v *sight) waitsForRetry() bool {
	return v.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED ||
		v.retry.GetState() == enumspb.PENDING_ACTIVITY_STATE_PAUSED
}

// nextAttempt is when the next attempt is made, if one is waited for.
func (v *sight) nextAttempt(now time.Time) time.Time {
	switch v.state(now) {
	case postdate.Scheduled:
		return v.in.Shipment.DueAt
	case postdate.Retrying:
		return asTime(v.retry.GetNextAttemptScheduleTime())
	default:
		return time.Time{}
	}
}

// reason says why v is not sent yet, or how it ended.
func (v *sight) reason(now time.Time) string {
	number := v.attempts.Next()
	switch v.state(now) {
	case postdate.Scheduled:
		return "sleeps until it is due"
	case postdate.Sending:
		if v.retry == nil && !v.isAwake() {
			return fmt.Sprintf("due since %s: waits for a worker to take it up", v.in.Shipment.DueAt.Format(time.RFC3339))
		}
		return fmt.Sprintf("attempt %d is under way", number)
	case postdate.Retrying:
		return fmt.Sprintf("%s; attempt %d %s", v.lastFailure(), number, v.whenRetried())
	default:
		return v.failure
	}
}

// lastFailure says what came of the last attempt, or why none could be made.
func (v *sight) lastFailure() string {
	if len(v.attempts) > 0 {
		// Of an attempt the engine keeps less than the log does. What else it
		// tells is a failure of our own, after that attempt.
		if last := v.attempts.Last().Summary(); strings.HasPrefix(last, v.failure) {
			return last
		}
	}
	return cmp.Or(v.failure, "no attempt could be made")
}

func (v *sight) whenRetried() string {
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
func (v *sight) mayRetry(now time.Time) error {
	if state := v.state(now); state != postdate.Dead {
		return postdate.Errorf(postdate.Conflict, "", "only what is dead can be retried, and this is %s", state)
	}
	if expires := v.in.ExpiresAt; !expires.IsZero() && !now.Before(expires) {
		return postdate.Errorf(postdate.Conflict, "", "it expired at %s", expires.Format(time.RFC3339))
	}
	return nil
}

// link is where the engine's Web UI shows the execution. The slashes in its id
// are not those of the path.
func (s *server) link(info *workflowpb.WorkflowExecutionInfo) string {
	if s.UIURL == "" {
		return ""
	}
	run := info.GetExecution()
	return fmt.Sprintf("%s/namespaces/%s/workflows/%s/%s/history",
		s.UIURL, url.PathEscape(s.Namespace), url.PathEscape(run.GetWorkflowId()), run.GetRunId())
}

func attemptsOf(log postdate.Attempts) []Attempt {
	all := make([]Attempt, len(log))
	for i, a := range log {
		all[i] = Attempt{
			Number:     a.Number,
			At:         a.At.UTC(),
			Duration:   (time.Duration(a.DurationMS) * time.Millisecond).String(),
			Outcome:    a.Outcome,
			Status:     a.Status,
			Error:      a.Error,
			Response:   a.Response,
			RetryAfter: a.RetryAfter,
		}
	}
	return all
}

// asTime is t, or the zero time where there is none.
func asTime(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}
