package deliveries_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/protocol"
)

func TestGet_WhatGotNoPermit(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	url := "https://" + a.Endpoint("never", deliverytest.Answering(http.StatusOK)) + ".example/hooks"
	permits := a.Limit(url)
	_, err := a.Start(t.Context(), protocol.DeliverInput{Shipment: protocol.DeliveryTask{
		Message: postdate.Message{ID: "refused", Tenant: a.Name, Type: "t"}, To: postdate.Destination{URL: url}, DueAt: time.Now(),
	}}, protocol.Accepted{At: time.Now()})
	require.NoError(t, err)
	delivery := a.Becomes("refused", postdate.Retrying)
	require.Empty(t, delivery.Attempts)
	require.WithinDuration(t, time.Now().Add(time.Hour), delivery.NextAttemptAt, 10*time.Minute)
	require.Equal(t, "100 attempts are under way at this receiver already; attempt 1 follows at "+
		delivery.NextAttemptAt.Format(time.RFC3339), delivery.Reason)
	a.Listed(1, postdate.Filter{State: postdate.Retrying})

	permits.Open.Store(true)
	err = a.Update(t.Context(), a.Name, "refused", protocol.UpdateFire)
	require.NoError(t, err)
	require.Len(t, a.Becomes("refused", postdate.Delivered).Attempts, 1)
}
