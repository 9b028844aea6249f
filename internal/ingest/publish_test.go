package ingest_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/ingest"
)

func TestPublish_DeliversToSubscribers(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	got := make(chan postdate.Message, 1)
	prompt := a.Endpoint("order.*", func(_ context.Context, m postdate.Message) postdate.Attempt {
		got <- m
		return deliverytest.Attempt(http.StatusOK)
	})
	late := a.Endpoint("order.paid", deliverytest.Answering(http.StatusBadGateway, http.StatusOK))
	broken := a.Endpoint("*", deliverytest.Answering(http.StatusBadGateway))
	a.Endpoint("order.cancelled", deliverytest.Answering(http.StatusOK))

	published := a.PublishAll(postdate.Event{ID: "evt_1", Type: "order.paid", Entity: "e", Data: json.RawMessage(`{"n":1}`)})[0]
	require.Equal(t, ingest.Published{ID: "evt_1", Deliveries: []postdate.DeliveryRef{
		{ID: "evt_1." + prompt, Endpoint: prompt}, {ID: "evt_1." + late, Endpoint: late}, {ID: "evt_1." + broken, Endpoint: broken},
	}}, published)
	m := <-got
	require.Equal(t, "evt_1", m.ID)
	require.Equal(t, "e", m.Entity)
	require.WithinDuration(t, time.Now(), m.Timestamp, time.Minute)

	for endpoint, want := range map[string]struct {
		state    postdate.State
		attempts int
	}{prompt: {postdate.Delivered, 1}, late: {postdate.Delivered, 2}, broken: {postdate.Dead, 2}} {
		found := a.Becomes("evt_1."+endpoint, want.state)
		require.Len(t, found.Attempts, want.attempts)
		require.Equal(t, "evt_1."+endpoint, found.ID)
		require.Equal(t, endpoint, found.To.Endpoint)
		require.JSONEq(t, `{"n":1}`, string(found.Message.Data))
		require.Equal(t, []postdate.Duration{0}, found.Retry.Schedule)
		require.WithinDuration(t, time.Now(), found.CreatedAt, time.Minute)
		require.False(t, found.EndedAt.IsZero())

		rows := a.Listed(1, postdate.Filter{Endpoint: endpoint})
		require.Equal(t, "evt_1."+endpoint, rows[0].ID)
		require.Len(t, a.Listed(1, postdate.Filter{Endpoint: endpoint, State: want.state, Entity: "e", Type: "order.paid"}), 1)
	}
	a.Listed(3, postdate.Filter{})
	require.Empty(t, a.Pages(postdate.Filter{Tenant: a.Name, SchedulesOnly: true}, 10))

	found, err := a.GetEvent(t.Context(), a.Name, "evt_1")
	require.NoError(t, err)
	require.Equal(t, "order.paid", found.Message.Type)
	require.Equal(t, []deliveries.EventDelivery{
		{DeliveryRef: published.Deliveries[0], State: postdate.Delivered},
		{DeliveryRef: published.Deliveries[1], State: postdate.Delivered},
		{DeliveryRef: published.Deliveries[2], State: postdate.Dead},
	}, found.Deliveries)
}

func TestPublish_DeliversToMoreEndpointsThanOneExecutionCarries(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	const many = 190
	for i := range many {
		status := http.StatusOK
		if i%50 == 0 {
			status = http.StatusBadGateway
		}
		a.Endpoint("t", deliverytest.Answering(status))
	}
	published := a.PublishAll(postdate.Event{Type: "t"})[0]
	require.Len(t, published.Deliveries, many)
	for i, d := range published.Deliveries {
		want := postdate.Delivered
		if i%50 == 0 {
			want = postdate.Dead
		}
		a.Becomes(d.ID, want)
	}
	found, err := a.GetEvent(t.Context(), a.Name, published.ID)
	require.NoError(t, err)
	require.Len(t, found.Deliveries, many)
	for i, d := range found.Deliveries {
		require.Equal(t, published.Deliveries[i], d.DeliveryRef)
		require.Equal(t, i%50 == 0, d.State == postdate.Dead, d.State)
	}
	a.Listed(many-4, postdate.Filter{State: postdate.Delivered})
	a.Listed(4, postdate.Filter{State: postdate.Dead})
}

func TestPublish_ReturnsTheFirstResultToARepeatedRequest(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	first := postdate.Event{ID: "x", Type: "t", Data: json.RawMessage(`{"a":1,"b":2}`)}
	a.PublishAll(first)
	a.Endpoint("*", deliverytest.Answering(http.StatusOK)) // it comes too late for x

	again := first
	again.Data = json.RawMessage(`{"b":2,"a":1}`)
	require.Equal(t, ingest.Published{
		ID: "x", Duplicate: true, Deliveries: []postdate.DeliveryRef{{ID: "x." + endpoint, Endpoint: endpoint}},
	}, a.PublishAll(again)[0])

	again.Data = json.RawMessage(`{"a":1,"b":3}`)
	published, err := a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.Name, Events: []postdate.Event{again}})
	require.NoError(t, err)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(published[0].Err))
	_, err = a.Publish(t.Context(), a.Name, again, "")
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	n, err := a.Publish(t.Context(), a.Name, first, "")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestPublish_RemembersAnEventWithoutSubscribers(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	require.Equal(t, ingest.Published{ID: "x", Deliveries: []postdate.DeliveryRef{}}, a.PublishAll(postdate.Event{ID: "x", Type: "t"})[0])
	require.True(t, a.PublishAll(postdate.Event{ID: "x", Type: "t"})[0].Duplicate)
	found, err := a.GetEvent(t.Context(), a.Name, "x")
	require.NoError(t, err)
	require.Empty(t, found.Deliveries)
}

func TestPublishBatch_TakesNamedAndUnnamedEvents(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	one, all := a.Endpoint("one", deliverytest.Answering(http.StatusOK)), a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	batch := ingest.Batch{Tenant: a.Name, Key: "k", Events: []postdate.Event{
		{Type: "one"}, {ID: "x", Type: "one"}, {Type: "two"}, {ID: "x", Type: "one"}, {ID: "x", Type: "two"},
	}}
	first, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	group, place, ok := postdate.SplitGroupedID(first[0].ID)
	require.True(t, ok)
	require.Zero(t, place)
	require.Equal(t, postdate.GroupedID(group, 1), first[2].ID)
	require.Len(t, first[0].Deliveries, 2)
	require.Equal(t, []postdate.DeliveryRef{{ID: first[2].ID + "." + all, Endpoint: all}}, first[2].Deliveries)
	require.Equal(t, "x", first[1].ID)
	require.False(t, first[1].Duplicate)
	require.True(t, first[3].Duplicate)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(first[4].Err))
	a.Becomes(first[0].ID+"."+one, postdate.Delivered)
	a.Becomes(first[2].ID+"."+all, postdate.Delivered)

	again, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	for i := range 4 {
		require.True(t, again[i].Duplicate)
		require.Equal(t, first[i].ID, again[i].ID)
		require.Equal(t, first[i].Deliveries, again[i].Deliveries)
	}
	batch.Events[0].Entity = "another"
	other, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(other[0].Err))
	require.Equal(t, postdate.Conflict, postdate.CodeOf(other[2].Err))
	require.True(t, other[1].Duplicate)
}

func TestGet_ReturnsNotFoundForWhatDoesNotExist(t *testing.T) {
	t.Parallel()
	a, b := deliverytest.New(t), deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	named := a.PublishAll(postdate.Event{ID: "x", Type: "t"})[0].Deliveries[0].ID
	grouped := a.PublishAll(postdate.Event{Type: "t"})[0]
	a.Becomes(named, postdate.Delivered)
	a.Becomes(grouped.Deliveries[0].ID, postdate.Delivered)
	group, _, _ := postdate.SplitGroupedID(grouped.ID)
	for _, id := range []string{"x.ep_other", "y." + endpoint, postdate.GroupedID(group, 1) + "." + endpoint, uuid.NewString()} {
		_, err := a.Get(t.Context(), a.Name, id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err), id)
	}
	for _, id := range []string{named, grouped.Deliveries[0].ID} {
		_, err := b.Get(t.Context(), b.Name, id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err), id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.CancelDelivery(t.Context(), b.Name, id)))
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.RetryDelivery(t.Context(), b.Name, id)))
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.ReleaseDelivery(t.Context(), b.Name, id)))
	}
	for _, id := range []string{"", "x/y", "x.", ".y", "x.y.z"} {
		_, err := a.Get(t.Context(), a.Name, id)
		require.Equal(t, postdate.Invalid, postdate.CodeOf(err), id)
	}
	_, err := b.GetEvent(t.Context(), b.Name, grouped.ID)
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
}
