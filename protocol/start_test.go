package protocol_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func TestOptions_AreFairToTenants(t *testing.T) {
	t.Parallel()
	message := postdate.Message{ID: "evt_1", Tenant: "acme", Type: "t"}
	in := protocol.DeliverInput{Shipment: protocol.DeliveryTask{Message: message}}
	for name, options := range map[string]client.StartWorkflowOptions{
		"deliver":  protocol.DeliverOptions(in, protocol.Accepted{}, time.Now()),
		"dispatch": protocol.DispatchOptions("events/acme/1", protocol.DispatchInput{Events: []protocol.Publication{{Message: message}}}),
		"line":     protocol.LineOptions(protocol.LineInput{Tenant: "acme", Endpoint: "ep_1", ID: "1"}),
		"sweep":    protocol.SweepOptions("acme", "swp_1"),
		"tenant":   protocol.TenantOptions("acme"),
		"endpoint": protocol.EndpointOptions("acme", "ep_1"),
	} {
		require.Equal(t, "acme", options.Priority.FairnessKey, name)
	}
}
