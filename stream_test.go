package postdate_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestDestination_IsOneOfUrlEndpointAndStream(t *testing.T) {
	t.Parallel()
	require.NoError(t, postdate.Destination{Stream: "payments"}.Validate(false))
	require.False(t, postdate.Destination{Stream: "payments"}.Subscribers())
	for _, d := range []postdate.Destination{
		{Stream: "Payments"},
		{Stream: "-"},
		{Stream: "payments", URL: "https://b.example/hooks"},
		{Stream: "payments", Endpoint: "ep_1"},
	} {
		require.ErrorContains(t, d.Validate(false), "/to/stream")
	}
}

func TestEndpoint_OfAStreamGetsCloudEvents(t *testing.T) {
	t.Parallel()
	e := postdate.Endpoint{Stream: "payments", EventTypes: []string{"*"}, Mode: postdate.CloudEventsBinary, Signature: postdate.HMAC}
	require.NoError(t, e.Validate(false))
	require.Equal(t, "payments", e.Target(e.CreatedAt).Stream)
	standard := e
	standard.Mode = postdate.Standard
	require.ErrorContains(t, standard.Validate(false), "/mode")
	both := postdate.EndpointPatch{URL: new("https://b.example/hooks")}.Apply(e)
	require.ErrorContains(t, both.Validate(false), "/stream")
	require.NoError(t, postdate.EndpointPatch{Stream: new("orders")}.Apply(e).Validate(false))
}

func TestRefused_IsADeadLetterAtOnce(t *testing.T) {
	t.Parallel()
	state, reason := postdate.Refused.End()
	require.Equal(t, postdate.Dead, state)
	require.Equal(t, "it can never be sent there", reason)
}
