package protocol_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/protocol"
)

func TestDeliveryID_TellsTheDelivery(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]string{
		"pr_123-expiry": "schedule/acme/pr_123-expiry",
		"evt_1.ep_1":    "delivery/acme/evt_1/ep_1",
	} {
		got := protocol.DeliveryID("acme", id)
		require.Equal(t, want, got)
		tenant, parsed, ok := protocol.ParseDeliveryID(got)
		require.True(t, ok)
		require.Equal(t, []string{"acme", id}, []string{tenant, parsed})
	}
	for _, other := range []string{"event/acme/evt_1", "tenant/acme", "schedule", "delivery/acme/evt_1"} {
		_, _, ok := protocol.ParseDeliveryID(other)
		require.False(t, ok, other)
	}
}
