package deliveries

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestBound_HoldsEachTenantToItsPlaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBound(2, "lists")
		leave, err := b.enter(t.Context(), "acme")
		require.NoError(t, err)
		_, err = b.enter(t.Context(), "acme")
		require.NoError(t, err)
		other, err := b.enter(t.Context(), "umbrella")
		require.NoError(t, err, "another tenant has places of its own")
		other()
		require.Len(t, b.tenants, 1)

		began := time.Now()
		_, err = b.enter(t.Context(), "acme")
		require.Equal(t, postdate.TooManyRequests, postdate.CodeOf(err))
		require.Equal(t, listingTimeout, time.Since(began))
		gone, stop := context.WithCancel(t.Context())
		stop()
		_, err = b.enter(gone, "acme")
		require.ErrorIs(t, err, context.Canceled)

		go func() {
			time.Sleep(time.Second)
			leave()
		}()
		leave, err = b.enter(t.Context(), "acme")
		require.NoError(t, err)
		leave()
		require.Equal(t, 1, b.tenants["acme"].users)
	})
}
