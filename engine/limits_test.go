package engine

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/log"
)

// A value of the wrong type would be ignored by the server, not refused.
func TestLimits_AreUnderstoodByTheServer(t *testing.T) {
	t.Parallel()
	c := dynamicconfig.NewCollection(dynamicConfig(&store{shardIO: 16, timers: 8}), log.NewNoopLogger())
	require.Equal(t, 1, dynamicconfig.MatchingNumTaskqueueReadPartitions.Get(c)("default", queue, enumspb.TASK_QUEUE_TYPE_WORKFLOW))
	require.Equal(t, 1, dynamicconfig.MatchingNumTaskqueueWritePartitions.Get(c)("default", queue, enumspb.TASK_QUEUE_TYPE_ACTIVITY))
	require.Equal(t, unlimited, dynamicconfig.FrontendMaxNamespaceVisibilityRPSPerInstance.Get(c)("default"))
	require.InDelta(t, float64(unlimited), dynamicconfig.SchedulerNamespaceStartWorkflowRPS.Get(c)("default"), 0)
	require.Zero(t, dynamicconfig.WorkflowIdReuseMinimalInterval.Get(c)("default"))
	require.Equal(t, 16, dynamicconfig.ShardIOConcurrency.Get(c)())
	require.Equal(t, 8, dynamicconfig.TimerProcessorSchedulerWorkerCount.Get(c)())
	require.Equal(t, PayloadWarning, dynamicconfig.BlobSizeLimitWarn.Get(c)("default"))
	require.Equal(t, MemoWarning, dynamicconfig.MemoSizeLimitWarn.Get(c)("default"))
	require.Less(t, 2*MemoWarning, dynamicconfig.MemoSizeLimitError.Get(c)("default"))
	require.Less(t, PayloadWarning+PayloadWarning/4, dynamicconfig.BlobSizeLimitError.Get(c)("default"))
	require.True(t, dynamicconfig.HistoryCacheSizeBasedLimit.Get(c)())
	require.False(t, dynamicconfig.EnableServerVersionCheck.Get(c)())
}

func TestLimits_LetAnIDBeUsedAgainAtOnce(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, Config{Memory: true}))
	work(t, c)
	for range 5 {
		// The raw service, since the client would repeat what is refused.
		started, err := c.WorkflowService().StartWorkflowExecution(t.Context(), &workflowservice.StartWorkflowExecutionRequest{
			Namespace:    "default",
			RequestId:    uuid.NewString(),
			WorkflowId:   "again",
			WorkflowType: &commonpb.WorkflowType{Name: "greet"},
			TaskQueue:    &taskqueuepb.TaskQueue{Name: queue},
		})
		require.NoError(t, err)
		require.Error(t, c.GetWorkflow(t.Context(), "again", started.GetRunId()).Get(t.Context(), nil), "it has nobody to greet")
	}
}

func TestLimits_LetListsBeAskedForQuickly(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, Config{Memory: true}))
	for range 100 {
		_, err := c.WorkflowService().CountWorkflowExecutions(t.Context(),
			&workflowservice.CountWorkflowExecutionsRequest{Namespace: "default"})
		require.NoError(t, err)
	}
}
