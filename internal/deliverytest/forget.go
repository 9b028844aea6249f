package deliverytest

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/internal/eventually"
)

// Forget deletes an execution, as Temporal does some time after it has ended.
func Forget(t *testing.T, workflowID string) {
	t.Helper()
	_, err := Temporal.WorkflowService().DeleteWorkflowExecution(t.Context(), &workflowservice.DeleteWorkflowExecutionRequest{
		Namespace: client.DefaultNamespace, WorkflowExecution: &commonpb.WorkflowExecution{WorkflowId: workflowID},
	})
	require.NoError(t, err)
	eventually.True(t, func() bool {
		_, err := Temporal.DescribeWorkflowExecution(t.Context(), workflowID, "")
		_, gone := errors.AsType[*serviceerror.NotFound](err)
		return gone
	}, "%s is still there", workflowID)
}
