package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

func TestOptions_AreFairToTenants(t *testing.T) {
	t.Parallel()
	message := postdate.Message{ID: "evt_1", Tenant: "acme", Type: "t"}
	in := workflows.DeliverInput{Shipment: activities.Shipment{Message: message}}
	for name, options := range map[string]client.StartWorkflowOptions{
		"deliver":  workflows.DeliverOptions(in, workflows.Accepted{}, time.Now()),
		"dispatch": workflows.DispatchOptions("events/acme/1", workflows.DispatchInput{Events: []workflows.Publication{{Message: message}}}),
		"line":     workflows.LineOptions(workflows.LineInput{Tenant: "acme", Endpoint: "ep_1", ID: "1"}),
		"sweep":    workflows.SweepOptions("acme", "swp_1"),
		"tenant":   workflows.TenantOptions("acme"),
		"endpoint": workflows.EndpointOptions("acme", "ep_1"),
	} {
		require.Equal(t, "acme", options.Priority.FairnessKey, name)
	}
}
