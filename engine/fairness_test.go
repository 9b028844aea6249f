package engine

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate/internal/eventually"
)

// A key with one task alternates with a key that has many, even where those came first.
func TestTasks_AreDispatchedFairly(t *testing.T) {
	t.Parallel()
	const many = 40
	c := dial(t, start(t, Config{Memory: true}))
	begin := func(id, key string) {
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: id, TaskQueue: queue, Priority: temporal.Priority{FairnessKey: key},
		}, greet, "you")
		require.NoError(t, err)
	}
	for n := range many {
		begin(strconv.Itoa(n), "many")
	}
	begin("single", "one")
	eventually.True(t, func() bool {
		described, err := c.WorkflowService().DescribeTaskQueue(t.Context(), &workflowservice.DescribeTaskQueueRequest{
			Namespace: client.DefaultNamespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue},
			TaskQueueType: enumspb.TASK_QUEUE_TYPE_WORKFLOW, ReportStats: true,
		})
		require.NoError(t, err)
		return described.GetStats().GetApproximateBacklogCount() == many+1
	}, "all of them wait")

	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for dispatched := 1; ; dispatched++ {
		task, err := c.WorkflowService().PollWorkflowTaskQueue(ctx, &workflowservice.PollWorkflowTaskQueueRequest{
			Namespace: client.DefaultNamespace, TaskQueue: &taskqueuepb.TaskQueue{Name: queue},
		})
		require.NoError(t, err)
		if task.GetWorkflowExecution().GetWorkflowId() == "single" {
			require.Less(t, dispatched, many/2, "it came late")
			return
		}
	}
}
