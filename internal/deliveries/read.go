package deliveries

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Get returns a delivery as it is now, whichever execution carries it.
func (s *Store) Get(ctx context.Context, tenant, id string) (postdate.Delivery, error) {
	read, err := s.read(ctx, tenant, id)
	if err != nil {
		return postdate.Delivery{}, err
	}
	s.readPosition(ctx, read)
	return read.delivery(s.now()), nil
}

// read reads a delivery, without its position in a queue: that costs more.
func (s *Store) read(ctx context.Context, tenant, id string) (*record, error) {
	read, err := s.readOnce(ctx, tenant, id)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		// It was restarted in between, and the run that was read is deleted.
		return s.readOnce(ctx, tenant, id)
	}
	return read, err
}

func (s *Store) readOnce(ctx context.Context, tenant, id string) (*record, error) {
	if err := postdate.ValidateDeliveryID("/id", id); err != nil {
		return nil, err
	}
	event, endpoint, ofEvent := postdate.SplitDeliveryID(id)
	read, err := s.readOwn(ctx, tenant, id)
	if group, place, shared := postdate.SplitGroupedScheduleID(id); shared && postdate.CodeOf(err) == postdate.NotFound {
		return s.readScheduled(ctx, tenant, group, place)
	}
	if !ofEvent || postdate.CodeOf(err) != postdate.NotFound {
		return read, err
	}
	return s.readGrouped(ctx, tenant, event, endpoint)
}

// readOwn reads a delivery that has an execution of its own. One that is not due yet
// cannot be queried, since its workflow has not started: its state is read from
// Temporal.
func (s *Store) readOwn(ctx context.Context, tenant, id string) (*record, error) {
	workflowID := protocol.DeliveryID(tenant, id)
	described, err := s.executions.Describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	read := &record{info: described.GetWorkflowExecutionInfo(), task: described.GetPendingWorkflowTask()}
	for _, pending := range described.GetPendingActivities() {
		switch pending.GetActivityType().GetName() {
		case protocol.RetryActivity:
			read.retry = pending
		case protocol.SendActivity:
			read.sending = true
		}
	}
	if err := s.executions.ReadMemo(read.info, protocol.MemoAccepted, &read.accepted); err != nil {
		return nil, err
	}
	if _, waits := read.info.GetMemo().GetFields()[protocol.MemoLine]; waits {
		if err := s.executions.ReadMemo(read.info, protocol.MemoLine, &read.lineID); err != nil {
			return nil, err
		}
	}
	if err := s.executions.ReadInput(ctx, read.info, &read.input); err != nil {
		return nil, err
	}
	read.attempts = read.input.Attempts
	if read.tenant, err = s.tenants.Tenant(ctx, tenant); err != nil {
		return nil, err
	}
	if err := s.readProgress(ctx, read); err != nil {
		return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
	}
	return read, nil
}

// readProgress reads the attempts, wherever they are recorded at this point.
func (s *Store) readProgress(ctx context.Context, r *record) error {
	if r.info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return s.readEnd(ctx, r)
	}
	if r.retry == nil {
		switch stateAttribute(r.info) {
		case postdate.Parked, postdate.Waiting, postdate.Sending, postdate.Retrying:
			return s.readHistory(ctx, r)
		default:
			return nil
		}
	}
	r.failure = s.message(r.retry.GetLastFailure())
	if details := r.retry.GetHeartbeatDetails(); details != nil {
		return s.executions.Decode(details, &r.attempts)
	}
	return s.readHistory(ctx, r)
}

// readHistory reads the attempts before the activity that retries: it has recorded none
// of its own yet, or has ended because the delivery was parked. Where it waits for a permit, the
// timer says why and until when.
func (s *Store) readHistory(ctx context.Context, r *record) error {
	run := r.info.GetExecution()
	events := s.temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err == nil {
			err = s.readEvent(r, event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readEvent reads what an event says of attempts and of a wait for a permit.
func (s *Store) readEvent(r *record, event *historypb.HistoryEvent) error {
	failed, timer := event.GetActivityTaskFailedEventAttributes(), event.GetTimerStartedEventAttributes()
	scheduled := event.GetActivityTaskScheduledEventAttributes()
	switch {
	case failed != nil:
		_, _, r.attempts = protocol.DecodeEnd(s.executions.Error(failed.GetFailure()), r.attempts)
	case timer != nil:
		r.refusal, r.refusedUntil = "", event.GetEventTime().AsTime().Add(timer.GetStartToFireTimeout().AsDuration())
		if summary := event.GetUserMetadata().GetSummary(); summary != nil {
			return s.executions.Decode(&commonpb.Payloads{Payloads: []*commonpb.Payload{summary}}, &r.refusal)
		}
	case scheduled != nil:
		r.refusedUntil = time.Time{} // the timers before it were for something else, such as a park
		if scheduled.GetActivityType().GetName() != protocol.RetryActivity {
			return nil
		}
		var retry protocol.RetryInput
		if err := s.executions.Decode(scheduled.GetInput(), &retry); err != nil {
			return err
		}
		r.attempts = retry.Attempts
	}
	return nil
}

// readEnd reads how the delivery ended from the event that closed its execution.
func (s *Store) readEnd(ctx context.Context, r *record) error {
	end, err := s.executions.LastEvent(ctx, r.info.GetExecution())
	if err != nil {
		return err
	}
	switch {
	case end.GetWorkflowExecutionCompletedEventAttributes() != nil:
		return s.readResult(r, end.GetWorkflowExecutionCompletedEventAttributes().GetResult())
	case end.GetWorkflowExecutionCanceledEventAttributes() != nil:
		return s.readResult(r, end.GetWorkflowExecutionCanceledEventAttributes().GetDetails())
	case end.GetWorkflowExecutionFailedEventAttributes() != nil:
		return s.readFailure(r, end.GetWorkflowExecutionFailedEventAttributes().GetFailure())
	case end.GetWorkflowExecutionTerminatedEventAttributes() != nil:
		r.failure = "terminated by the operator, in Temporal: " + end.GetWorkflowExecutionTerminatedEventAttributes().GetReason()
		return s.readHistory(ctx, r) // the attempts that its pending retry had made are lost
	case end.GetWorkflowExecutionTimedOutEventAttributes() != nil:
		r.failure = "timed out, in Temporal"
	}
	return nil
}

func (s *Store) readResult(r *record, payloads *commonpb.Payloads) error {
	if payloads == nil {
		return nil
	}
	var result protocol.DeliverResult
	err := s.executions.Decode(payloads, &result)
	r.attempts, r.failure = result.Attempts, result.Reason
	return err
}

func (s *Store) readFailure(r *record, failure *failurepb.Failure) error {
	r.failure = s.message(failure)
	app, ok := errors.AsType[*temporal.ApplicationError](s.executions.Error(failure))
	if !ok || !app.HasDetails() {
		return nil
	}
	return app.Details(&r.attempts)
}

// message is the text of a failure.
func (s *Store) message(failure *failurepb.Failure) string {
	if failure == nil {
		return ""
	}
	err := s.executions.Error(failure)
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Message()
	}
	return err.Error()
}

// stateAttribute is the search attribute State. It is not encrypted.
func stateAttribute(info *workflowpb.WorkflowExecutionInfo) postdate.State {
	var state postdate.State
	payload := info.GetSearchAttributes().GetIndexedFields()[protocol.AttrState.GetName()]
	_ = json.Unmarshal(payload.GetData(), &state) // unset, it says nothing
	return state
}
