package executions_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
)

// brokenTemporal fails as the test says.
type brokenTemporal struct {
	client.Client
	start, describe, count error
}

func (b *brokenTemporal) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return nil, b.start
}

func (b *brokenTemporal) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, b.describe
}

func (b *brokenTemporal) CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{}, b.count
}

func TestReady_SaysWhatIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		nothing := serviceerror.NewNotFound("no such execution")
		temporal := &brokenTemporal{describe: nothing}
		c := executions.New(executions.Config{Temporal: temporal})
		require.NoError(t, c.Ready(t.Context()))

		away := serviceerror.NewUnavailable("the database is away")
		temporal.describe = away
		require.ErrorIs(t, c.Ready(t.Context()), away)
		temporal.describe, temporal.count = nothing, away
		require.ErrorIs(t, c.Ready(t.Context()), away)
		temporal.count = nil

		start := func(fails error) {
			temporal.start = fails
			_, _ = c.Start(t.Context(), client.StartWorkflowOptions{}, "w", nil)
		}
		start(errors.New("the disk is full"))
		require.Equal(t, postdate.Unavailable, postdate.CodeOf(c.Ready(t.Context())))
		start(serviceerror.NewWorkflowExecutionAlreadyStarted("exists", "", ""))
		require.NoError(t, c.Ready(t.Context()))
		start(errors.New("the disk is full"))
		time.Sleep(11 * time.Second)
		require.NoError(t, c.Ready(t.Context()), "the next start is the only way to find out")
	})
}
