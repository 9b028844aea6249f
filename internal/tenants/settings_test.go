package tenants

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
)

// becomes waits until an endpoint's execution has these settings.
func becomes(t *testing.T, c client.Client, id string, state postdate.EndpointState, limit postdate.Pace) {
	t.Helper()
	var h postdate.Health
	eventually.True(t, func() bool {
		value, err := c.QueryWorkflow(t.Context(), id, "", protocol.QueryHealth)
		return err == nil && value.Get(&h) == nil && h.State == state && h.Limit == limit
	}, "%+v", &h)
}

func TestStore_SignalsSettingsToAnEndpoint(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	id := protocol.EndpointID(d.tenant, "ep_1")
	settings := protocol.EndpointSettings{State: postdate.Enabled, Pace: postdate.Pace{InFlight: 100}}
	_, err := temporal.SignalWithStartWorkflow(t.Context(), id, protocol.SignalSettings, settings,
		client.StartWorkflowOptions{TaskQueue: protocol.ControlQueue}, protocol.EndpointWorkflow,
		protocol.EndpointInput{Tenant: d.tenant, ID: "ep_1", Settings: settings})
	require.NoError(t, err)

	most := 7
	_, err = d.PatchEndpoint(t.Context(), d.tenant, "ep_1", postdate.EndpointPatch{MaxInFlight: &most})
	require.NoError(t, err)
	becomes(t, temporal, id, postdate.Enabled, postdate.Pace{InFlight: 7})
	_, err = d.SetEndpointState(t.Context(), d.tenant, "ep_1", postdate.Paused, "maintenance")
	require.NoError(t, err)
	becomes(t, temporal, id, postdate.Paused, postdate.Pace{InFlight: 7})
	require.NoError(t, d.DeleteEndpoint(t.Context(), d.tenant, "ep_1"))
	becomes(t, temporal, id, "", postdate.Pace{})
}

// TestEndpoint_KeepsSettingsThatComeWithItsLastTask has an endpoint whose tasks
// all begin with new settings: so does the last one of each run.
func TestEndpoint_KeepsSettingsThatComeWithItsLastTask(t *testing.T) {
	t.Parallel()
	short := historytest.ShortRuns(t, 15, protocol.SearchAttributes)
	w := worker.New(short, protocol.ControlQueue, worker.Options{})
	register(w)
	require.NoError(t, w.Start())
	defer w.Stop()
	id := protocol.EndpointID("acme", "ep_1")
	for version := range int64(20) {
		limit := postdate.Pace{InFlight: 1 + int(version)}
		_, err := short.SignalWithStartWorkflow(t.Context(), id, protocol.SignalSettings,
			protocol.EndpointSettings{Version: 1 + version, State: postdate.Enabled, Pace: limit},
			protocol.EndpointOptions("acme", "ep_1"), protocol.EndpointWorkflow, protocol.EndpointInput{Tenant: "acme", ID: "ep_1"})
		require.NoError(t, err)
		becomes(t, short, id, postdate.Enabled, limit)
	}
	signals, runs := int64(0), historytest.Runs(t, short, id)
	require.Greater(t, len(runs), 2)
	for _, run := range runs {
		for _, event := range historytest.Of(t, short, id, run).GetEvents() {
			if event.GetWorkflowExecutionSignaledEventAttributes() != nil {
				signals++
			}
			if restarted := event.GetWorkflowExecutionContinuedAsNewEventAttributes(); restarted != nil {
				var next protocol.EndpointInput
				require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(restarted.GetInput(), &next))
				require.Equal(t, signals, next.Settings.Version)
			}
		}
	}
}
