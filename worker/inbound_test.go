package worker_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// What a source took in keeps its bytes and its headers from attempt to attempt.
func TestInboundDeliveredOnARetry(t *testing.T) {
	t.Parallel()
	in := &postdate.Inbound{
		Source: "src_1", Method: "PUT", Path: "/orders", Query: "shop=1", ContentType: "application/octet-stream",
		Headers: []postdate.InboundHeader{{Name: "X-Signature", Value: "s"}},
	}
	raw := []byte("\x00\xff not JSON")
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n == 1 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
		}
		return postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
	}, func(input *protocol.DeliverInput) {
		input.Shipment.Message.Data, input.Shipment.Message.Inbound = raw, in
	})
	_, err := d.end()
	require.NoError(t, err)
	kept := d.last.Load()
	require.Equal(t, raw, kept.Data)
	require.Equal(t, in, kept.Inbound)
	record(t, d)
}
