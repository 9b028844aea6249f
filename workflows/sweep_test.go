package workflows_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

func TestSweep_GoesOnAfterTheDeathOfItsWorker(t *testing.T) {
	t.Parallel()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	workflows.RegisterControl(env)
	asked := protocol.SweepInput{Action: protocol.SweepRetry, Filter: postdate.Filter{Tenant: "acme", Endpoint: "ep_1"}}
	tries := 0
	env.RegisterActivityWithOptions(func(ctx context.Context, in protocol.SweepInput) (protocol.SweepProgress, error) {
		require.Equal(t, asked, in)
		require.Equal(t, protocol.OperationQueue, activity.GetInfo(ctx).TaskQueue)
		tries++
		if tries < 3 {
			return protocol.SweepProgress{}, errors.New("its worker died")
		}
		return protocol.SweepProgress{Found: 3, Done: 2, Skipped: 1}, nil
	}, activity.RegisterOptions{Name: protocol.SweepActivity})

	env.ExecuteWorkflow(protocol.SweepWorkflow, asked)
	require.NoError(t, env.GetWorkflowError())
	var progress protocol.SweepProgress
	require.NoError(t, env.GetWorkflowResult(&progress))
	require.Equal(t, protocol.SweepProgress{Found: 3, Done: 2, Skipped: 1}, progress)
	require.Equal(t, 3, tries)
}

func TestSweep_ReleasesWhereNoOperationIsAheadOfIt(t *testing.T) {
	t.Parallel()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	workflows.RegisterControl(env)
	env.RegisterActivityWithOptions(func(ctx context.Context, _ protocol.SweepInput) (protocol.SweepProgress, error) {
		require.Equal(t, protocol.ControlQueue, activity.GetInfo(ctx).TaskQueue)
		return protocol.SweepProgress{}, nil
	}, activity.RegisterOptions{Name: protocol.SweepActivity})
	env.ExecuteWorkflow(protocol.SweepWorkflow, protocol.SweepInput{Action: protocol.SweepRelease})
	require.NoError(t, env.GetWorkflowError())
}
