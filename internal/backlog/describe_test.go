package backlog_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/internal/backlog"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// Temporal itself says what waits where no worker polls.
func TestDescribeBy_SeesWhatWaits(t *testing.T) {
	t.Parallel()
	temporal, stop, err := enginetest.Start()
	require.NoError(t, err)
	defer stop()
	describe := backlog.DescribeBy(temporal, client.DefaultNamespace)
	for range 3 {
		_, err := temporal.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: protocol.TaskQueue}, protocol.DeliverWorkflow)
		require.NoError(t, err)
	}
	eventually.True(t, func() bool {
		stats, err := describe(t.Context(), enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		return err == nil && stats.GetApproximateBacklogCount() == 3 && stats.GetApproximateBacklogAge().AsDuration() > 0
	})
}
