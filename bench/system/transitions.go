package system

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// Transitions returns how many state transitions the executions of each of these
// workflows took that were started since a moment: what Temporal had to write.
func (p *Postdate) Transitions(ctx context.Context, since time.Time, workflows ...string) (map[string]float64, error) {
	c, err := client.DialContext(ctx, client.Options{HostPort: "127.0.0.1:" + p.ports.temporal, Logger: silent{}})
	if err != nil {
		return nil, fmt.Errorf("dial Temporal: %w", err)
	}
	defer c.Close()
	sums := make(map[string]float64)
	for _, name := range workflows {
		query := fmt.Sprintf("WorkflowType = '%s' AND StartTime >= '%s'", name, since.UTC().Format(time.RFC3339Nano))
		if sums[name], err = sumTransitions(ctx, c, query); err != nil {
			return nil, fmt.Errorf("count the transitions of %s executions: %w", name, err)
		}
	}
	return sums, nil
}

// sumTransitions asks for those of a sample, the latest, and multiplies.
func sumTransitions(ctx context.Context, c client.Client, query string) (float64, error) {
	const sample = 300
	all, err := c.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, fmt.Errorf("count the executions: %w", err)
	}
	page, err := c.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: sample})
	if err != nil {
		return 0, fmt.Errorf("list the executions: %w", err)
	}
	if len(page.GetExecutions()) == 0 {
		return 0, nil
	}
	var sum int64
	for _, execution := range page.GetExecutions() {
		info, err := describe(ctx, c, execution)
		if err != nil {
			return 0, err
		}
		sum += info.GetStateTransitionCount()
	}
	return float64(sum) * float64(all.GetCount()) / float64(len(page.GetExecutions())), nil
}

func describe(ctx context.Context, c client.Client, execution *workflow.WorkflowExecutionInfo) (*workflow.WorkflowExecutionInfo, error) {
	description, err := c.DescribeWorkflowExecution(ctx, execution.GetExecution().GetWorkflowId(), execution.GetExecution().GetRunId())
	if err != nil {
		return nil, fmt.Errorf("describe an execution: %w", err)
	}
	return description.GetWorkflowExecutionInfo(), nil
}
