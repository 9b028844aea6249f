package deliveries_test

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
	"github.com/postdate/postdate/internal/ingest"
)

func TestPublish_DeliversToWhoSubscribed(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	got := make(chan postdate.Message, 1)
	prompt := a.endpoint("order.*", func(_ context.Context, m postdate.Message) postdate.Attempt {
		got <- m
		return attempt(http.StatusOK)
	})
	late := a.endpoint("order.paid", answering(http.StatusBadGateway, http.StatusOK))
	broken := a.endpoint("*", answering(http.StatusBadGateway))
	a.endpoint("order.cancelled", answering(http.StatusOK))

	published := a.publish(postdate.Event{ID: "evt_1", Type: "order.paid", Entity: "e", Data: json.RawMessage(`{"n":1}`)})[0]
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
		seen := a.becomes("evt_1."+endpoint, want.state)
		require.Len(t, seen.Attempts, want.attempts)
		require.Equal(t, "evt_1."+endpoint, seen.ID)
		require.Equal(t, endpoint, seen.To.Endpoint)
		require.JSONEq(t, `{"n":1}`, string(seen.Message.Data))
		require.Equal(t, []postdate.Duration{0}, seen.Retry.Schedule)
		require.WithinDuration(t, time.Now(), seen.CreatedAt, time.Minute)
		require.False(t, seen.EndedAt.IsZero())

		rows := a.listed(1, postdate.Filter{Endpoint: endpoint})
		require.Equal(t, "evt_1."+endpoint, rows[0].ID)
		require.Len(t, a.listed(1, postdate.Filter{Endpoint: endpoint, State: want.state, Entity: "e", Type: "order.paid"}), 1)
	}
	a.listed(3, postdate.Filter{})
	require.Empty(t, a.pages(postdate.Filter{Tenant: a.name, SchedulesOnly: true}, 10))

	seen, err := a.GetEvent(t.Context(), a.name, "evt_1")
	require.NoError(t, err)
	require.Equal(t, "order.paid", seen.Message.Type)
	require.Equal(t, []deliveries.EventDelivery{
		{DeliveryRef: published.Deliveries[0], State: postdate.Delivered},
		{DeliveryRef: published.Deliveries[1], State: postdate.Delivered},
		{DeliveryRef: published.Deliveries[2], State: postdate.Dead},
	}, seen.Deliveries)
}

func TestPublish_ReachesMoreThanOneExecutionHolds(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	const many = 190
	for i := range many {
		status := http.StatusOK
		if i%50 == 0 {
			status = http.StatusBadGateway
		}
		a.endpoint("t", answering(status))
	}
	published := a.publish(postdate.Event{Type: "t"})[0]
	require.Len(t, published.Deliveries, many)
	for i, d := range published.Deliveries {
		want := postdate.Delivered
		if i%50 == 0 {
			want = postdate.Dead
		}
		a.becomes(d.ID, want)
	}
	seen, err := a.GetEvent(t.Context(), a.name, published.ID)
	require.NoError(t, err)
	require.Len(t, seen.Deliveries, many)
	for i, d := range seen.Deliveries {
		require.Equal(t, published.Deliveries[i], d.DeliveryRef)
		require.Equal(t, i%50 == 0, d.State == postdate.Dead, d.State)
	}
	a.listed(many-4, postdate.Filter{State: postdate.Delivered})
	a.listed(4, postdate.Filter{State: postdate.Dead})
}

func TestPublish_Repeated(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("*", answering(http.StatusOK))
	first := postdate.Event{ID: "x", Type: "t", Data: json.RawMessage(`{"a":1,"b":2}`)}
	a.publish(first)
	a.endpoint("*", answering(http.StatusOK)) // it comes too late for x

	again := first
	again.Data = json.RawMessage(`{"b":2,"a":1}`)
	require.Equal(t, ingest.Published{
		ID: "x", Duplicate: true, Deliveries: []postdate.DeliveryRef{{ID: "x." + endpoint, Endpoint: endpoint}},
	}, a.publish(again)[0])

	again.Data = json.RawMessage(`{"a":1,"b":3}`)
	published, err := a.PublishBatch(t.Context(), ingest.Batch{Tenant: a.name, Events: []postdate.Event{again}})
	require.NoError(t, err)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(published[0].Err))
	_, err = a.Publish(t.Context(), a.name, again, "")
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	n, err := a.Publish(t.Context(), a.name, first, "")
	require.NoError(t, err)
	require.Equal(t, 1, n)
}

func TestPublish_WithoutSubscribersIsRemembered(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	require.Equal(t, ingest.Published{ID: "x", Deliveries: []postdate.DeliveryRef{}}, a.publish(postdate.Event{ID: "x", Type: "t"})[0])
	require.True(t, a.publish(postdate.Event{ID: "x", Type: "t"})[0].Duplicate)
	seen, err := a.GetEvent(t.Context(), a.name, "x")
	require.NoError(t, err)
	require.Empty(t, seen.Deliveries)
}

func TestPublishBatch_NamedAndUnnamed(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	one, all := a.endpoint("one", answering(http.StatusOK)), a.endpoint("*", answering(http.StatusOK))
	batch := ingest.Batch{Tenant: a.name, Key: "k", Events: []postdate.Event{
		{Type: "one"}, {ID: "x", Type: "one"}, {Type: "two"}, {ID: "x", Type: "one"}, {ID: "x", Type: "two"},
	}}
	made, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	group, place, ok := postdate.SplitGroupedID(made[0].ID)
	require.True(t, ok)
	require.Zero(t, place)
	require.Equal(t, postdate.GroupedID(group, 1), made[2].ID)
	require.Len(t, made[0].Deliveries, 2)
	require.Equal(t, []postdate.DeliveryRef{{ID: made[2].ID + "." + all, Endpoint: all}}, made[2].Deliveries)
	require.Equal(t, "x", made[1].ID)
	require.False(t, made[1].Duplicate)
	require.True(t, made[3].Duplicate)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(made[4].Err))
	a.becomes(made[0].ID+"."+one, postdate.Delivered)
	a.becomes(made[2].ID+"."+all, postdate.Delivered)

	again, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	for i := range 4 {
		require.True(t, again[i].Duplicate)
		require.Equal(t, made[i].ID, again[i].ID)
		require.Equal(t, made[i].Deliveries, again[i].Deliveries)
	}
	batch.Events[0].Entity = "another"
	other, err := a.PublishBatch(t.Context(), batch)
	require.NoError(t, err)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(other[0].Err))
	require.Equal(t, postdate.Conflict, postdate.CodeOf(other[2].Err))
	require.True(t, other[1].Duplicate)
}

func TestLook_OfWhatIsNot(t *testing.T) {
	t.Parallel()
	a, b := newTenant(t), newTenant(t)
	endpoint := a.endpoint("*", answering(http.StatusOK))
	named := a.publish(postdate.Event{ID: "x", Type: "t"})[0].Deliveries[0].ID
	grouped := a.publish(postdate.Event{Type: "t"})[0]
	a.becomes(named, postdate.Delivered)
	a.becomes(grouped.Deliveries[0].ID, postdate.Delivered)
	group, _, _ := postdate.SplitGroupedID(grouped.ID)
	for _, id := range []string{"x.ep_other", "y." + endpoint, postdate.GroupedID(group, 1) + "." + endpoint, uuid.NewString()} {
		_, err := a.Get(t.Context(), a.name, id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err), id)
	}
	for _, id := range []string{named, grouped.Deliveries[0].ID} {
		_, err := b.Get(t.Context(), b.name, id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err), id)
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.CancelDelivery(t.Context(), b.name, id)))
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.RetryDelivery(t.Context(), b.name, id)))
		require.Equal(t, postdate.NotFound, postdate.CodeOf(b.ReleaseDelivery(t.Context(), b.name, id)))
	}
	for _, id := range []string{"", "x/y", "x.", ".y", "x.y.z"} {
		_, err := a.Get(t.Context(), a.name, id)
		require.Equal(t, postdate.Invalid, postdate.CodeOf(err), id)
	}
	_, err := b.GetEvent(t.Context(), b.name, grouped.ID)
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
}
