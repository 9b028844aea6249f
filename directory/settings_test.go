package directory

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

func TestDirectory_TellsAnEndpointItsSettings(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.create("ep_1")
	id := workflows.EndpointID(d.tenant, "ep_1")
	settings := workflows.EndpointSettings{State: postdate.Enabled, Pace: postdate.Pace{InFlight: 100}}
	_, err := temporal.SignalWithStartWorkflow(t.Context(), id, workflows.SignalSettings, settings,
		client.StartWorkflowOptions{TaskQueue: workflows.ControlQueue}, workflows.EndpointName,
		workflows.EndpointInput{Tenant: d.tenant, ID: "ep_1", Settings: settings})
	require.NoError(t, err)
	becomes := func(state postdate.EndpointState, limit postdate.Pace) {
		t.Helper()
		var h postdate.Health
		require.Eventually(t, func() bool {
			value, err := temporal.QueryWorkflow(t.Context(), id, "", workflows.QueryHealth)
			return err == nil && value.Get(&h) == nil && h.State == state && h.Limit == limit
		}, 10*time.Second, 10*time.Millisecond, "%+v", &h)
	}

	most := 7
	_, err = d.PatchEndpoint(t.Context(), d.tenant, "ep_1", postdate.EndpointPatch{MaxInFlight: &most})
	require.NoError(t, err)
	becomes(postdate.Enabled, postdate.Pace{InFlight: 7})
	_, err = d.SetEndpointState(t.Context(), d.tenant, "ep_1", postdate.Paused, "maintenance")
	require.NoError(t, err)
	becomes(postdate.Paused, postdate.Pace{InFlight: 7})
	require.NoError(t, d.DeleteEndpoint(t.Context(), d.tenant, "ep_1"))
	becomes("", postdate.Pace{})
}
