package ledger

import (
	"cmp"
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
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// Look reads all that is known of a delivery, whichever execution carries it.
func (l *Ledger) Look(ctx context.Context, tenant, id string) (*Sight, error) {
	seen, err := l.look(ctx, tenant, id)
	if err != nil {
		return nil, err
	}
	l.readTurn(ctx, seen)
	return seen, nil
}

// look is the same without its turn, if it waits for one: that costs more.
func (l *Ledger) look(ctx context.Context, tenant, id string) (*Sight, error) {
	seen, err := l.lookOnce(ctx, tenant, id)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		// It was started anew while we read, and the run that we read is deleted.
		return l.lookOnce(ctx, tenant, id)
	}
	return seen, err
}

func (l *Ledger) lookOnce(ctx context.Context, tenant, id string) (*Sight, error) {
	if err := postdate.ValidateDeliveryID("/id", id); err != nil {
		return nil, err
	}
	event, endpoint, ofEvent := postdate.SplitDeliveryID(id)
	seen, err := l.lookAlone(ctx, tenant, id)
	if !ofEvent || postdate.CodeOf(err) != postdate.NotFound {
		return seen, err
	}
	return l.lookInGroup(ctx, tenant, event, endpoint)
}

// lookAlone reads a delivery that has an execution of its own. A sleeping one
// can be asked nothing, for no code of it has run; so none is.
func (l *Ledger) lookAlone(ctx context.Context, tenant, id string) (*Sight, error) {
	workflowID := workflows.DeliveryID(tenant, id)
	described, err := l.describe(ctx, workflowID, id)
	if err != nil {
		return nil, err
	}
	seen := &Sight{Info: described.GetWorkflowExecutionInfo(), task: described.GetPendingWorkflowTask()}
	for _, pending := range described.GetPendingActivities() {
		if pending.GetActivityType().GetName() == activities.RetryName {
			seen.retry = pending
		}
	}
	if err := l.readMemo(seen.Info, workflows.MemoAccepted, &seen.Accepted); err != nil {
		return nil, err
	}
	if _, waits := seen.Info.GetMemo().GetFields()[workflows.MemoLine]; waits {
		if err := l.readMemo(seen.Info, workflows.MemoLine, &seen.lineID); err != nil {
			return nil, err
		}
	}
	if err := l.readInput(ctx, seen.Info, &seen.Input); err != nil {
		return nil, err
	}
	seen.Attempts = seen.Input.Attempts
	if err := l.readTimeout(ctx, seen); err != nil {
		return nil, err
	}
	if err := l.readProgress(ctx, seen); err != nil {
		return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
	}
	return seen, nil
}

// readTimeout finds out how long an attempt may take: where the delivery does not
// say, as its endpoint has it now.
func (l *Ledger) readTimeout(ctx context.Context, v *Sight) error {
	shipment := v.Input.Shipment
	v.Timeout = shipment.Timeout
	if v.Timeout == 0 && shipment.To.Endpoint != "" {
		tenant, err := l.Directory.Tenant(ctx, shipment.Message.Tenant)
		if err != nil {
			return err
		}
		endpoint, _ := tenant.Endpoint(shipment.To.Endpoint)
		v.Timeout = endpoint.Timeout
	}
	v.Timeout = cmp.Or(v.Timeout, postdate.Duration(postdate.DefaultTimeout))
	return nil
}

// describe asks the engine for an execution. id is how its caller knows it.
func (l *Ledger) describe(ctx context.Context, workflowID, id string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	described, err := l.Temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return nil, unknown(id)
	}
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	return described, nil
}

func (l *Ledger) readMemo(info *workflowpb.WorkflowExecutionInfo, field string, into any) error {
	if err := l.DataConverter.FromPayload(info.GetMemo().GetFields()[field], into); err != nil {
		return fmt.Errorf("read the memo of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	return nil
}

// readInput reads what a run was started with.
func (l *Ledger) readInput(ctx context.Context, info *workflowpb.WorkflowExecutionInfo, into any) error {
	history, err := l.Temporal.WorkflowService().GetWorkflowExecutionHistory(ctx,
		&workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: l.Namespace, Execution: info.GetExecution(), MaximumPageSize: 1,
		})
	if err != nil {
		return fmt.Errorf("read the history of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	events := history.GetHistory().GetEvents()
	if len(events) == 0 {
		return fmt.Errorf("the history of %s is empty", info.GetExecution().GetWorkflowId())
	}
	input := events[0].GetWorkflowExecutionStartedEventAttributes().GetInput()
	if err := l.DataConverter.FromPayloads(input, into); err != nil {
		return fmt.Errorf("read the input of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	return nil
}

// readProgress reads which attempts were made, wherever they are kept by now.
func (l *Ledger) readProgress(ctx context.Context, v *Sight) error {
	if v.Info.GetStatus() != enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING {
		return l.readEnd(ctx, v)
	}
	if v.retry == nil {
		if state := marked(v.Info); state == postdate.Parked || state == postdate.Waiting {
			return l.readHistory(ctx, v)
		}
		return nil
	}
	v.failure = l.message(v.retry.GetLastFailure())
	if details := v.retry.GetHeartbeatDetails(); details != nil {
		return l.DataConverter.FromPayloads(details, &v.Attempts)
	}
	return l.readHistory(ctx, v)
}

// readHistory reads the attempts that a retry started from, which has not
// reported any of its own yet, or with which one ended that was parked.
func (l *Ledger) readHistory(ctx context.Context, v *Sight) error {
	run := v.Info.GetExecution()
	events := l.Temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return err
		}
		if failed := event.GetActivityTaskFailedEventAttributes(); failed != nil {
			_, _, v.Attempts = activities.ReadEnd(l.failures.FailureToError(failed.GetFailure()), v.Attempts)
			continue
		}
		scheduled := event.GetActivityTaskScheduledEventAttributes()
		if scheduled.GetActivityType().GetName() != activities.RetryName {
			continue
		}
		var handed activities.Retries
		if err := l.DataConverter.FromPayloads(scheduled.GetInput(), &handed); err != nil {
			return err
		}
		v.Attempts = handed.Attempts
	}
	return nil
}

// readEnd reads how it ended from the event that says so.
func (l *Ledger) readEnd(ctx context.Context, v *Sight) error {
	end, err := l.lastEvent(ctx, v.Info.GetExecution())
	if err != nil {
		return err
	}
	switch {
	case end.GetWorkflowExecutionCompletedEventAttributes() != nil:
		return l.readResult(v, end.GetWorkflowExecutionCompletedEventAttributes().GetResult())
	case end.GetWorkflowExecutionCanceledEventAttributes() != nil:
		return l.readResult(v, end.GetWorkflowExecutionCanceledEventAttributes().GetDetails())
	case end.GetWorkflowExecutionFailedEventAttributes() != nil:
		return l.readFailure(v, end.GetWorkflowExecutionFailedEventAttributes().GetFailure())
	case end.GetWorkflowExecutionTerminatedEventAttributes() != nil:
		v.failure = "terminated by the operator, in the engine: " + end.GetWorkflowExecutionTerminatedEventAttributes().GetReason()
	case end.GetWorkflowExecutionTimedOutEventAttributes() != nil:
		v.failure = "timed out, in the engine"
	}
	return nil
}

// lastEvent is the event by which a run closed.
func (l *Ledger) lastEvent(ctx context.Context, run *commonpb.WorkflowExecution) (*historypb.HistoryEvent, error) {
	events := l.Temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_CLOSE_EVENT)
	last := new(historypb.HistoryEvent)
	for events.HasNext() {
		event, err := events.Next()
		if err != nil {
			return nil, err
		}
		last = event
	}
	return last, nil
}

func (l *Ledger) readResult(v *Sight, payloads *commonpb.Payloads) error {
	if payloads == nil {
		return nil
	}
	var result workflows.DeliverResult
	err := l.DataConverter.FromPayloads(payloads, &result)
	v.Attempts, v.failure = result.Attempts, result.Reason
	return err
}

func (l *Ledger) readFailure(v *Sight, failure *failurepb.Failure) error {
	v.failure = l.message(failure)
	app, ok := errors.AsType[*temporal.ApplicationError](l.failures.FailureToError(failure))
	if !ok || !app.HasDetails() {
		return nil
	}
	return app.Details(&v.Attempts)
}

// message is what failure says to people.
func (l *Ledger) message(failure *failurepb.Failure) string {
	if failure == nil {
		return ""
	}
	err := l.failures.FailureToError(failure)
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
