package main

import (
	"context"
	"fmt"
	"time"

	"go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
)

// transitions are how many state transitions the executions of each of these
// workflows took that were started since a moment: what the engine had to write.
func (p *postdate) transitions(ctx context.Context, since time.Time, kinds ...string) (map[string]float64, error) {
	engine, err := client.DialContext(ctx, client.Options{HostPort: "127.0.0.1:" + p.ports[2], Logger: silent{}})
	if err != nil {
		return nil, fmt.Errorf("dial the engine: %w", err)
	}
	defer engine.Close()
	sums := make(map[string]float64)
	for _, kind := range kinds {
		query := fmt.Sprintf("WorkflowType = '%s' AND StartTime >= '%s'", kind, since.UTC().Format(time.RFC3339Nano))
		if sums[kind], err = sumTransitions(ctx, engine, query); err != nil {
			return nil, fmt.Errorf("ask the engine about its %s executions: %w", kind, err)
		}
	}
	return sums, nil
}

// sumTransitions asks a sample of those executions, the latest, and reckons with all.
func sumTransitions(ctx context.Context, engine client.Client, query string) (float64, error) {
	const sample = 300
	all, err := engine.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{Query: query})
	if err != nil {
		return 0, fmt.Errorf("count the executions: %w", err)
	}
	page, err := engine.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{Query: query, PageSize: sample})
	if err != nil {
		return 0, fmt.Errorf("list the executions: %w", err)
	}
	if len(page.GetExecutions()) == 0 {
		return 0, nil
	}
	var sum int64
	for _, listed := range page.GetExecutions() {
		info, err := describe(ctx, engine, listed)
		if err != nil {
			return 0, err
		}
		sum += info.GetStateTransitionCount()
	}
	return float64(sum) * float64(all.GetCount()) / float64(len(page.GetExecutions())), nil
}

func describe(ctx context.Context, engine client.Client, listed *workflow.WorkflowExecutionInfo) (*workflow.WorkflowExecutionInfo, error) {
	told, err := engine.DescribeWorkflowExecution(ctx, listed.GetExecution().GetWorkflowId(), listed.GetExecution().GetRunId())
	return told.GetWorkflowExecutionInfo(), err
}
