package ingest_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/ingest"
)

// What is published to an endpoint goes there alone, whoever subscribed.
func TestPublish_ToOneEndpoint(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	wanted := a.Endpoint("other", deliverytest.Answering(http.StatusOK))
	for _, id := range []string{"named", ""} {
		published, err := a.PublishBatch(t.Context(), ingest.Batch{
			Tenant: a.Name, Events: []postdate.Event{{ID: id, Type: "thing.happened", Data: []byte("\x00\xff"), Inbound: &postdate.Inbound{Source: "src_1"}}},
			Endpoint: wanted,
		})
		require.NoError(t, err)
		require.NoError(t, published[0].Err)
		require.Len(t, published[0].Deliveries, 1)
		found := a.Becomes(published[0].Deliveries[0].ID, postdate.Delivered)
		require.Equal(t, wanted, found.To.Endpoint)
		require.Equal(t, []byte("\x00\xff"), found.Message.Data)
		require.Equal(t, "src_1", found.Message.Inbound.Source)
	}
	a.Listed(2, postdate.Filter{})
}
