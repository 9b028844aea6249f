package workflows_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

func TestSweep_GoesOnAfterTheDeathOfItsWorker(t *testing.T) {
	t.Parallel()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	workflows.RegisterControl(env)
	asked := workflows.SweepInput{Action: workflows.SweepRetry, Filter: postdate.Filter{Tenant: "acme", Endpoint: "ep_1"}}
	tries := 0
	env.RegisterActivityWithOptions(func(ctx context.Context, in workflows.SweepInput) (workflows.SweepProgress, error) {
		require.Equal(t, asked, in)
		require.Equal(t, workflows.ControlQueue, activity.GetInfo(ctx).TaskQueue)
		tries++
		if tries < 3 {
			return workflows.SweepProgress{}, errors.New("its worker died")
		}
		return workflows.SweepProgress{Found: 3, Done: 2, Skipped: 1}, nil
	}, activity.RegisterOptions{Name: activities.SweepName})

	env.ExecuteWorkflow(workflows.SweepName, asked)
	require.NoError(t, env.GetWorkflowError())
	var progress workflows.SweepProgress
	require.NoError(t, env.GetWorkflowResult(&progress))
	require.Equal(t, workflows.SweepProgress{Found: 3, Done: 2, Skipped: 1}, progress)
	require.Equal(t, 3, tries)
}
