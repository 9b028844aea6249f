package system

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLongTasks_AreThoseAboveTheBoundary(t *testing.T) {
	t.Parallel()
	long := 0
	for _, line := range []string{
		`# TYPE temporal_workflow_task_execution_latency_seconds histogram`,
		`temporal_workflow_task_execution_latency_seconds_bucket{namespace="default",workflow_type="Endpoint",le="0.1"} 3`,
		`temporal_workflow_task_execution_latency_seconds_bucket{namespace="default",workflow_type="Endpoint",le="0.2"} 5`,
		`temporal_workflow_task_execution_latency_seconds_bucket{namespace="default",workflow_type="Endpoint",le="+Inf"} 7`,
		`temporal_workflow_task_execution_latency_seconds_sum{namespace="default",workflow_type="Endpoint"} 1.5`,
		`temporal_workflow_task_execution_latency_seconds_count{namespace="default",workflow_type="Endpoint"} 7`,
		`temporal_workflow_task_execution_latency_seconds_count{namespace="default",workflow_type="Deliver"} 70`,
	} {
		long += longTasksIn(line)
	}
	require.Equal(t, 2, long)
}
