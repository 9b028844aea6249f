package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// sight is what was seen of a delivery at one moment.
type sight struct {
	*server
	in       workflows.DeliverInput
	told     workflows.Accepted
	attempts postdate.Attempts
	info     *workflowpb.WorkflowExecutionInfo
	// task is the workflow task that is scheduled or under way, if one is.
	task *workflowpb.PendingWorkflowTaskInfo
	// retry is the activity that makes the attempts after the first, while it does.
	retry *workflowpb.PendingActivityInfo
	// failure is why the last attempt failed, or how the delivery ended.
	failure string
}

// look reads all that the engine knows of the delivery id. A sleeping one can
// be asked nothing, for no code of it has run; so none is.
func (s *server) look(ctx context.Context, id string) (*sight, error) {
	workflowID, err := workflowID(ctx, id)
	if err != nil {
		return nil, err
	}
	described, err := s.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, unknown := errors.AsType[*serviceerror.NotFound](err); unknown {
		return nil, postdate.Errorf(postdate.NotFound, "", "nothing is known of %q: it was never made, or it ended long ago", id)
	}
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	seen := &sight{server: s, info: described.GetWorkflowExecutionInfo(), task: described.GetPendingWorkflowTask()}
	if pending := described.GetPendingActivities(); len(pending) > 0 {
		seen.retry = pending[0] // it never has two
	}
	memo := seen.info.GetMemo().GetFields()[workflows.MemoAccepted]
	if err := s.DataConverter.FromPayload(memo, &seen.told); err != nil {
		return nil, fmt.Errorf("read the memo of %s: %w", workflowID, err)
	}
	if err := seen.readInput(ctx); err != nil {
		return nil, fmt.Errorf("read the input of %s: %w", workflowID, err)
	}
	if err := seen.readProgress(ctx); err != nil {
		return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
	}
	return seen, nil
}

// readInput reads what the run was started with.
func (v *sight) readInput(ctx context.Context) error {
	history, err := v.Temporal.WorkflowService().GetWorkflowExecutionHistory(ctx,
		&workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: v.Namespace, Execution: v.info.GetExecution(), MaximumPageSize: 1,
		})
	if err != nil {
		return err
	}
	events := history.GetHistory().GetEvents()
	if len(events) == 0 {
		return errors.New("its history is empty")
	}
	input := events[0].GetWorkflowExecutionStartedEventAttributes().GetInput()
	if err := v.DataConverter.FromPayloads(input, &v.in); err != nil {
		return err
	}
	v.attempts = v.in.Attempts
	return nil
}

// readProgress reads which attempts were made, wherever they are kept by now.
func (v *sight) readProgress(ctx context.Context) error {
	if v.info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return v.readEnd(ctx)
	}
	if v.retry == nil {
		return nil
	}
	v.failure = v.message(v.retry.GetLastFailure())
	if details := v.retry.GetHeartbeatDetails(); details != nil {
		return v.DataConverter.FromPayloads(details, &v.attempts)
	}
	return v.readHandover(ctx)
}

// readHandover reads the attempts that the retry starts from, which has not
// reported any of its own yet.
func (v *sight) readHandover(ctx context.Context) error {
	events := v.Temporal.GetWorkflowHistory(ctx, v.info.GetExecution().GetWorkflowId(), v.info.GetExecution().GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return err
		}
		scheduled := event.GetActivityTaskScheduledEventAttributes()
		if scheduled == nil {
			continue
		}
		var handed struct {
			Attempts postdate.Attempts `json:"attempts"`
		}
		if err := v.DataConverter.FromPayloads(scheduled.GetInput(), &handed); err != nil {
			return err
		}
		v.attempts = handed.Attempts
	}
	return nil
}

// readEnd reads how it ended from the event that says so.
func (v *sight) readEnd(ctx context.Context) error {
	events := v.Temporal.GetWorkflowHistory(ctx, v.info.GetExecution().GetWorkflowId(), v.info.GetExecution().GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	end := new(historypb.HistoryEvent)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return err
		}
		end = event
	}
	switch {
	case end.GetWorkflowExecutionCompletedEventAttributes() != nil:
		return v.readResult(end.GetWorkflowExecutionCompletedEventAttributes().GetResult())
	case end.GetWorkflowExecutionCanceledEventAttributes() != nil:
		return v.readResult(end.GetWorkflowExecutionCanceledEventAttributes().GetDetails())
	case end.GetWorkflowExecutionFailedEventAttributes() != nil:
		return v.readFailure(end.GetWorkflowExecutionFailedEventAttributes().GetFailure())
	case end.GetWorkflowExecutionTerminatedEventAttributes() != nil:
		v.failure = "terminated by the operator, in the engine: " + end.GetWorkflowExecutionTerminatedEventAttributes().GetReason()
	case end.GetWorkflowExecutionTimedOutEventAttributes() != nil:
		v.failure = "timed out, in the engine"
	}
	return nil
}

func (v *sight) readResult(payloads *commonpb.Payloads) error {
	if payloads == nil {
		return nil
	}
	var result workflows.DeliverResult
	err := v.DataConverter.FromPayloads(payloads, &result)
	v.attempts = result.Attempts
	return err
}

func (v *sight) readFailure(failure *failurepb.Failure) error {
	v.failure = v.message(failure)
	app, ok := errors.AsType[*temporal.ApplicationError](v.failures.FailureToError(failure))
	if !ok || !app.HasDetails() {
		return nil
	}
	return app.Details(&v.attempts)
}

// message is what failure says to people.
func (s *server) message(failure *failurepb.Failure) string {
	if failure == nil {
		return ""
	}
	err := s.failures.FailureToError(failure)
	if app, ok := errors.AsType[*temporal.ApplicationError](err); ok {
		return app.Message()
	}
	return err.Error()
}

// marked is what the search attribute State says. It is not encrypted.
func marked(info *workflowpb.WorkflowExecutionInfo) postdate.State {
	var state postdate.State
	payload := info.GetSearchAttributes().GetIndexedFields()[workflows.State.GetName()]
	_ = json.Unmarshal(payload.GetData(), &state) // unset, it says nothing
	return state
}
