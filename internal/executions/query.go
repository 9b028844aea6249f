package executions

import (
	"context"
	"strings"
	"time"

	"go.temporal.io/api/workflowservice/v1"
)

// Attribute is a search attribute of whichever type.
type Attribute interface{ GetName() string }

// Equals is the condition that an attribute has a value, which must be plain: see
// [IsPlain].
func Equals(key Attribute, value string) string { return key.GetName() + " = " + Quote(value) }

// IsPlain reports whether a value can stand in a query. A quote or a backslash cannot:
// SQL visibility does not find such a value, and SQLite's returns an error. Neither can a
// heart, which separates values on SQLite.
func IsPlain(value string) bool { return value != "" && !strings.ContainsAny(value, `'"\♡`) }

// Quote makes plain text a string of Temporal's query language.
func Quote(text string) string { return "'" + text + "'" }

// QuoteTime makes a time a string of Temporal's query language.
func QuoteTime(t time.Time) string { return Quote(t.UTC().Format(time.RFC3339Nano)) }

// CountOpen counts the open executions that satisfy a condition. The count is a little
// behind, as all of Temporal's lists are.
func (c *Client) CountOpen(ctx context.Context, condition string) (int, error) {
	counted, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: condition + " AND ExecutionStatus = 'Running'",
	})
	return int(counted.GetCount()), err
}
