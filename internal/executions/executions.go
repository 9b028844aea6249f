// Package executions starts and reads Temporal executions: what ingest and deliveries
// have in common.
package executions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	failurepb "go.temporal.io/api/failure/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// startTimeout bounds how long Temporal may take to accept a start.
const startTimeout = 10 * time.Second

// ErrExists is returned where a workflow id is taken.
var ErrExists = errors.New("an execution of this id exists")

// Config is what executions are started and read with.
type Config struct {
	Temporal client.Client
	// DataConverter is Temporal's default where it is nil.
	DataConverter converter.DataConverter
	// Namespace is "default" where it is empty.
	Namespace string
	// EagerStart hands executions that are due at once straight to a worker in this
	// process, if one runs on the same Temporal client.
	EagerStart bool
}

// Client starts and reads executions. It is safe for concurrent use.
type Client struct {
	temporal   client.Client
	converter  converter.DataConverter
	failures   converter.FailureConverter
	namespace  string
	eagerStart bool

	starts starts
}

// New returns a client of executions.
func New(c Config) *Client {
	if c.DataConverter == nil {
		c.DataConverter = converter.GetDefaultDataConverter()
	}
	return &Client{
		temporal:  c.Temporal,
		converter: c.DataConverter,
		failures: temporal.NewDefaultFailureConverter(
			temporal.DefaultFailureConverterOptions{DataConverter: c.DataConverter}),
		namespace:  cmp.Or(c.Namespace, client.DefaultNamespace),
		eagerStart: c.EagerStart,
	}
}

// Namespace is Temporal's namespace of all executions.
func (c *Client) Namespace() string { return c.namespace }

// Start starts an execution, or returns [ErrExists]. It does not stop when ctx is
// cancelled: Temporal may have handed this process the first workflow task, which would
// be lost until it times out.
func (c *Client) Start(ctx context.Context, options client.StartWorkflowOptions, workflow string, input any) (client.WorkflowRun, error) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), startTimeout)
	defer stop()
	options.EnableEagerStart = c.eagerStart && options.StartDelay == 0 && options.TaskQueue == protocol.TaskQueue
	run, err := c.temporal.ExecuteWorkflow(ctx, options, workflow, input)
	c.starts.add(err)
	if _, exists := errors.AsType[*serviceerror.WorkflowExecutionAlreadyStarted](err); exists {
		return nil, ErrExists
	}
	return run, err
}

// Describe describes the newest run of a workflow. Where there is none, the error names
// it by id, as the caller does.
func (c *Client) Describe(ctx context.Context, workflowID, id string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	described, err := c.temporal.DescribeWorkflowExecution(ctx, workflowID, "")
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return nil, Unknown(id)
	}
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	return described, nil
}

// Exists reports whether a workflow has or had an execution.
func (c *Client) Exists(ctx context.Context, workflowID string) (bool, error) {
	_, err := c.Describe(ctx, workflowID, workflowID)
	if postdate.CodeOf(err) == postdate.NotFound {
		return false, nil
	}
	return err == nil, err
}

// Unknown is the error for an id of which nothing is found.
func Unknown(id string) error {
	return postdate.Errorf(postdate.NotFound, "", "nothing is known of %q: it was never made, or it ended long ago", id)
}

// ErrTooLate is the error for an Update that no worker took up in time.
var ErrTooLate error = postdate.Errorf(postdate.Unavailable, "",
	"no worker has done it in time: it may still be done, so ask for it, or try again")

// Refused is the error of an Update as its caller gets it: with the refusal of the
// execution, or [ErrTooLate]. Others stay as they are.
func Refused(err error) error {
	if refusal, refused := protocol.DecodeError(err); refused {
		return refusal
	}
	if _, late := errors.AsType[*client.WorkflowUpdateServiceTimeoutOrCanceledError](err); late {
		return ErrTooLate
	}
	return err
}

// ReadMemo reads a field of an execution's memo.
func (c *Client) ReadMemo(info *workflowpb.WorkflowExecutionInfo, field string, into any) error {
	if err := c.converter.FromPayload(info.GetMemo().GetFields()[field], into); err != nil {
		return fmt.Errorf("read the memo of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	return nil
}

// ReadInput reads what a run was started with.
func (c *Client) ReadInput(ctx context.Context, info *workflowpb.WorkflowExecutionInfo, into any) error {
	history, err := c.temporal.WorkflowService().GetWorkflowExecutionHistory(ctx,
		&workflowservice.GetWorkflowExecutionHistoryRequest{
			Namespace: c.namespace, Execution: info.GetExecution(), MaximumPageSize: 1,
		})
	if err != nil {
		return fmt.Errorf("read the history of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	events := history.GetHistory().GetEvents()
	if len(events) == 0 {
		return fmt.Errorf("the history of %s is empty", info.GetExecution().GetWorkflowId())
	}
	input := events[0].GetWorkflowExecutionStartedEventAttributes().GetInput()
	if err := c.converter.FromPayloads(input, into); err != nil {
		return fmt.Errorf("read the input of %s: %w", info.GetExecution().GetWorkflowId(), err)
	}
	return nil
}

// Events calls visit with each event of a run's history.
func (c *Client) Events(ctx context.Context, run *commonpb.WorkflowExecution, visit func(*historypb.HistoryEvent) error) error {
	events := c.temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
		false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		if err == nil {
			err = visit(event)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// LastEvent is the event with which a run closed.
func (c *Client) LastEvent(ctx context.Context, run *commonpb.WorkflowExecution) (*historypb.HistoryEvent, error) {
	events := c.temporal.GetWorkflowHistory(ctx, run.GetWorkflowId(), run.GetRunId(),
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

// Decode reads payloads.
func (c *Client) Decode(payloads *commonpb.Payloads, into ...any) error {
	return c.converter.FromPayloads(payloads, into...)
}

// Error is the error that a recorded failure stands for.
func (c *Client) Error(failure *failurepb.Failure) error { return c.failures.FailureToError(failure) }

// IsRunning reports whether an execution is open.
func IsRunning(info *workflowpb.WorkflowExecutionInfo) bool {
	return info.GetStatus() == enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING
}
