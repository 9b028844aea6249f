package deliveries_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// paced adds an endpoint that takes one a second, whose permits the test gives.
func paced(a *deliverytest.Tenant, answer deliverytest.Receiver) (e postdate.Endpoint, permits *deliverytest.Permits) {
	a.T.Helper()
	id := a.Endpoint("t", answer)
	a.Configure(func(tenant *postdate.Tenant) {
		tenant.Endpoints[0].RateLimit = &postdate.RateLimit{PerSecond: 1}
		e = tenant.Endpoints[0]
	})
	return e, a.Limit(id)
}

// awaitHealth waits until so many wait at e.
func awaitHealth(a *deliverytest.Tenant, e postdate.Endpoint, waiting int) (health postdate.Health) {
	a.T.Helper()
	eventually.True(a.T, func() bool {
		var err error
		health, err = a.Health(a.T.Context(), a.Name, e)
		require.NoError(a.T, err)
		return health.Waiting == waiting
	}, "%d should wait: %+v", waiting, &health)
	return health
}

func TestHealth_CountsWhatWaitsNow(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	e, permits := paced(a, deliverytest.Answering(http.StatusOK))
	since := time.Now().UTC().Truncate(time.Millisecond).Add(-time.Hour)
	queue := func(ids ...string) {
		var requests []protocol.EnqueueRequest
		for _, id := range ids {
			request := a.EnqueueRequest(e.ID, id, []byte(`1`))
			since = since.Add(time.Minute)
			request.Entry.At = since
			requests = append(requests, request)
		}
		_, err := a.Enqueue(t.Context(), requests)
		require.NoError(t, err)
	}
	first := since.Add(time.Minute)
	queue("e0", "e1", "e2")
	awaitHealth(a, e, 3)
	queue("e3", "e4")
	health := awaitHealth(a, e, 5)
	require.Equal(t, first, health.OldestWaiting)
	require.WithinDuration(t, time.Now().Add(5*time.Second), health.DrainedAt, 2*time.Second)

	permits.Dequeued <- struct{}{}
	permits.Dequeued <- struct{}{}
	health = awaitHealth(a, e, 3)
	require.False(t, health.OldestWaiting.Before(first.Add(time.Minute)), "one of the first two lines is still awake")
	require.WithinDuration(t, time.Now().Add(3*time.Second), health.DrainedAt, 2*time.Second)
	for range 3 {
		permits.Dequeued <- struct{}{}
	}
	health = awaitHealth(a, e, 0)
	require.Zero(t, health.OldestWaiting)
	require.Zero(t, health.DrainedAt)
}

func TestLine_RetriesAFailedEntryWhileOthersWait(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	e, permits := paced(a, deliverytest.Answering(http.StatusServiceUnavailable, http.StatusOK))
	event := postdate.Event{Type: "t", Data: []byte(`1`)}
	var ids []string
	for _, p := range a.PublishAll(event, event, event) {
		ids = append(ids, postdate.DeliveryID(p.ID, e.ID))
	}
	for _, id := range ids {
		a.Becomes(id, postdate.Waiting)
	}
	awaitHealth(a, e, 3)
	permits.Open.Store(true)
	permits.Dequeued <- struct{}{}
	failed := a.Becomes(ids[0], postdate.Delivered)
	require.Len(t, failed.Attempts, 2)
	require.Equal(t, http.StatusServiceUnavailable, failed.Attempts[0].Status)
	awaitHealth(a, e, 2)
	a.Becomes(ids[1], postdate.Waiting)
	a.Listed(1, postdate.Filter{State: postdate.Delivered})
	a.Listed(2, postdate.Filter{State: postdate.Waiting})
	require.Len(t, a.Listed(3, postdate.Filter{}), 3)

	began := time.Now()
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[2]))
	cancelled := a.Becomes(ids[2], postdate.Cancelled)
	require.WithinDuration(t, began, cancelled.EndedAt, 10*time.Second, "its line still runs")
	eventually.True(t, func() bool {
		for _, row := range a.Pages(postdate.Filter{Tenant: a.Name}, 10) {
			if row.ID == ids[2] {
				return row.State == postdate.Cancelled && row.EndedAt.Equal(cancelled.EndedAt)
			}
		}
		return false
	})
	awaitHealth(a, e, 1)
	permits.Dequeued <- struct{}{}
	a.Becomes(ids[1], postdate.Delivered)
	awaitHealth(a, e, 0)
}
