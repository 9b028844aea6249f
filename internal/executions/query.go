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

// IsPlain reports whether a value can stand in a query. One with a quote or a
// backslash cannot: SQL visibility finds no such value, and SQLite's returns an
// error; nor can one with a heart, by which SQLite's separates values.
func IsPlain(value string) bool { return value != "" && !strings.ContainsAny(value, `'"\♡`) }

// Quote makes plain text a string of Temporal's query language.
func Quote(text string) string { return "'" + text + "'" }

// QuoteTime makes a time one.
func QuoteTime(t time.Time) string { return Quote(t.UTC().Format(time.RFC3339Nano)) }

// CountOpen counts the open executions that satisfy a condition, as Temporal's
// lists know, which are a little behind.
func (c *Client) CountOpen(ctx context.Context, condition string) (int, error) {
	counted, err := c.temporal.CountWorkflow(ctx, &workflowservice.CountWorkflowExecutionsRequest{
		Namespace: c.namespace, Query: condition + " AND ExecutionStatus = 'Running'",
	})
	return int(counted.GetCount()), err
}
