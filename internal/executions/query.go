package executions

import (
	"context"
	"time"

	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate/protocol"
)

// Attribute is a search attribute of whichever type.
type Attribute interface{ GetName() string }

// Equals is the condition that an attribute has a value.
func Equals(key Attribute, value string) string {
	return key.GetName() + " = " + Quote(protocol.Searchable(value))
}

// Quote makes text a string of Temporal's query language. It must have no quotes: see
// [protocol.Searchable].
func Quote(text string) string { return "'" + text + "'" }

// QuoteTime makes a time a string of Temporal's query language.
func QuoteTime(t time.Time) string { return Quote(t.UTC().Format(time.RFC3339Nano)) }

// FirstOpen returns the latest open executions that satisfy a condition: n at most.
func (c *Client) FirstOpen(ctx context.Context, condition string, n int32) ([]*workflowpb.WorkflowExecutionInfo, error) {
	found, err := c.temporal.ListWorkflow(ctx, &workflowservice.ListWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: condition + " AND ExecutionStatus = 'Running'", PageSize: n,
	})
	return found.GetExecutions(), err
}

// CountOpen counts the open executions that satisfy a condition. The count is a little
// behind, as all of Temporal's lists are.
func (c *Client) CountOpen(ctx context.Context, condition string) (int, error) {
	counted, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: condition + " AND ExecutionStatus = 'Running'",
	})
	return int(counted.GetCount()), err
}
