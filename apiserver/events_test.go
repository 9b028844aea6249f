package apiserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/eventually"
)

// endpoint is a new one of the tenant, that subscribed to eventType. What fails
// there is retried once, at once.
func (a *api) endpoint(eventType, url string) string {
	a.t.Helper()
	id := "ep_" + uuid.NewString()
	_, created, err := configured.CreateEndpoint(a.t.Context(), a.tenant, postdate.Endpoint{
		ID: id, URL: url, EventTypes: []string{eventType}, State: postdate.Enabled, Mode: postdate.Standard,
		Signature: postdate.HMAC, Secrets: postdate.ExpiringSecrets{{Secret: "whsec_dGVzdA=="}},
		Retry: &postdate.Retry{Schedule: []postdate.Duration{0}}, CreatedAt: time.Now(), UpdatedAt: time.Now(),
	})
	require.NoError(a.t, err)
	require.True(a.t, created)
	return id
}

// happened is an event as a request has it.
func happened(fields message) string {
	if _, ok := fields["type"]; !ok {
		fields["type"] = "test.happened"
	}
	return fields.json()
}

func (a *api) publish(fields message, headers ...string) apiserver.Published {
	a.t.Helper()
	var p apiserver.Published
	a.do(http.MethodPost, "/v1/events", happened(fields), headers...).is(http.StatusAccepted).decode(&p)
	return p
}

// reaches waits until a delivery is in a state.
func (a *api) reaches(id string, state postdate.State) apiserver.Delivery {
	a.t.Helper()
	var d apiserver.Delivery
	eventually.True(a.t, func() bool {
		d = a.do(http.MethodGet, "/v1/deliveries/"+id, "").is(http.StatusOK).delivery()
		return d.State == state
	}, "%s wanted: %+v", state, &d)
	return d
}

func TestPublish_DeliversToEverySubscriber(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	prompt, late := a.endpoint("order.*", answering(200)), a.endpoint("order.paid", answering(502, 200))
	broken := a.endpoint("*", answering(502))
	a.endpoint("user.*", answering(200))
	p := a.publish(message{"id": "evt_1", "type": "order.paid", "entity": "e", "data": message{"n": 1}, "timestamp": "2026-01-02T03:04:05+01:00"})
	require.Equal(t, apiserver.Published{ID: "evt_1", Deliveries: []apiserver.DeliveryRef{
		{ID: "evt_1." + prompt, Endpoint: prompt}, {ID: "evt_1." + late, Endpoint: late}, {ID: "evt_1." + broken, Endpoint: broken},
	}}, p)

	for id, want := range map[string]struct {
		state    postdate.State
		attempts int
	}{prompt: {postdate.Delivered, 1}, late: {postdate.Delivered, 2}, broken: {postdate.Dead, 2}} {
		d := a.reaches("evt_1."+id, want.state)
		require.Equal(t, "evt_1."+id, d.ID)
		require.Equal(t, id, d.To.Endpoint)
		require.Equal(t, "e", d.Entity)
		require.JSONEq(t, `{"n":1}`, string(d.Data))
		require.Len(t, d.Attempts, want.attempts)
		require.Equal(t, "15s", d.Timeout.String())
		require.NotEmpty(t, d.Link)
		row := a.listed(1, "endpoint", id, "state", string(want.state))[0]
		require.Equal(t, d.ID, row.ID)
		require.Equal(t, d.To, row.To)
		require.WithinDuration(t, d.CreatedAt, row.CreatedAt, 0)
	}
	require.Empty(t, a.list("/v1/schedules"))

	var seen apiserver.EventStatus
	a.do(http.MethodGet, "/v1/events/evt_1", "").is(http.StatusOK).decode(&seen)
	require.Equal(t, "order.paid", seen.Type)
	require.Equal(t, time.Date(2026, 1, 2, 2, 4, 5, 0, time.UTC), seen.Timestamp)
	require.Len(t, seen.Deliveries, 3)
	for i, state := range []postdate.State{postdate.Delivered, postdate.Delivered, postdate.Dead} {
		require.Equal(t, p.Deliveries[i].ID, seen.Deliveries[i].ID)
		require.Equal(t, p.Deliveries[i].Endpoint, seen.Deliveries[i].Endpoint)
		require.Equal(t, state, seen.Deliveries[i].State)
	}
	require.Contains(t, seen.Link, "event%2F"+a.tenant+"%2Fevt_1")

	a.do(http.MethodPost, "/v1/deliveries/evt_1."+prompt+"/cancel", "").problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPost, "/v1/deliveries/evt_1."+prompt+"/retry", "").problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPost, "/v1/deliveries/evt_1."+broken+"/retry", "").is(http.StatusOK)
	require.Len(t, a.reaches("evt_1."+broken, postdate.Dead).Attempts, 4)
}

func TestPublish_Repeated(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.endpoint("*", answering(200))
	first := a.publish(message{"id": "x", "data": message{"a": 1, "b": 2}})
	again := a.publish(message{"id": "x", "data": json.RawMessage(`{ "b": 2, "a": 1 }`)})
	require.True(t, again.Duplicate)
	require.Equal(t, first.Deliveries, again.Deliveries)
	a.do(http.MethodPost, "/v1/events", happened(message{"id": "x"})).problem(http.StatusConflict, postdate.Conflict)

	first = a.publish(message{"entity": "e"}, "Idempotency-Key", "k")
	again = a.publish(message{"entity": "e"}, "Idempotency-Key", "k")
	require.True(t, again.Duplicate)
	require.Equal(t, first.ID, again.ID)
	a.do(http.MethodPost, "/v1/events", happened(message{"entity": "f"}), "Idempotency-Key", "k").
		problem(http.StatusConflict, postdate.Conflict)
	b := newAPI(t)
	require.NotEqual(t, first.ID, b.publish(message{"entity": "e"}, "Idempotency-Key", "k").ID, "a key is one tenant's")
	first, again = a.publish(message{}), a.publish(message{})
	require.NotEqual(t, first.ID, again.ID)
}

func TestPublish_IsRefused(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for pointer, fields := range map[string]message{
		"/id":     {"id": postdate.GroupedID("0123456789abcdef0123456789abcdef", 0)},
		"/type":   {"type": "a\nb"},
		"/entity": {"entity": "a\nb"},
	} {
		p := a.do(http.MethodPost, "/v1/events", happened(fields)).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer)
	}
}

func TestPublishBatch(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.endpoint("*", answering(200))
	const batch = `{"events":[{"type":"one"},{"id":"x","type":"one"},{"id":"not an id","type":"one"},{"type":"two"},{"id":"x","type":"two"}]}`
	publish := func() apiserver.PublishedBatch {
		var made apiserver.PublishedBatch
		a.do(http.MethodPost, "/v1/events/batch", batch, "Idempotency-Key", "k").is(http.StatusAccepted).decode(&made)
		require.Len(t, made.Data, 5)
		require.Equal(t, postdate.Invalid, made.Data[2].Error.Code)
		require.Equal(t, "/events/2/id", made.Data[2].Error.Errors[0].Pointer)
		require.Equal(t, postdate.Conflict, made.Data[4].Error.Code)
		return made
	}
	first, again := publish(), publish()
	for _, i := range []int{0, 1, 3} {
		require.Nil(t, first.Data[i].Error)
		require.False(t, first.Data[i].Duplicate)
		require.True(t, again.Data[i].Duplicate)
		require.Equal(t, first.Data[i].ID, again.Data[i].ID)
		require.Equal(t, first.Data[i].Deliveries, again.Data[i].Deliveries)
		require.Equal(t, postdate.Delivered, a.reaches(first.Data[i].Deliveries[0].ID, postdate.Delivered).State)
	}
	a.listed(3)
}

func TestPublish_ToNobody(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	require.Equal(t, apiserver.Published{ID: "x", Deliveries: []apiserver.DeliveryRef{}}, a.publish(message{"id": "x"}))
	var seen apiserver.EventStatus
	a.do(http.MethodGet, "/v1/events/x", "").is(http.StatusOK).decode(&seen)
	require.Empty(t, seen.Deliveries)
	require.NotNil(t, seen.Deliveries)
}

func TestSchedule_WithoutDestinationIsPublishedWhenDue(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	body := happened(message{"id": "sch_1", "delay": "1h", "entity": "e"})
	made := a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated).delivery()
	require.True(t, made.To.Subscribers())
	got := make(chan postdate.Message, 1)
	endpoint := a.endpoint("test.*", receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		got <- m
		return attempt(200), nil
	}))
	a.do(http.MethodPost, "/v1/schedules/sch_1/fire", "").is(http.StatusOK)
	require.Equal(t, "sch_1", (<-got).ID, "it was subscribed when the schedule was due")
	require.Equal(t, postdate.Delivered, a.ended("sch_1").State)
	a.reaches("sch_1."+endpoint, postdate.Delivered)
}

func TestSchedule_ToAnEndpoint(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	endpoint := a.endpoint("other", answering(200))
	body := message{"id": "x", "to": map[string]string{"endpoint": endpoint}}.String()
	a.do(http.MethodPost, "/v1/schedules", body).is(http.StatusCreated)
	d := a.ended("x")
	require.Equal(t, postdate.Delivered, d.State)
	require.Equal(t, endpoint, d.To.Endpoint)
	a.listed(1, "endpoint", endpoint)

	p := b.do(http.MethodPost, "/v1/schedules", body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Equal(t, "/to/endpoint", p.Errors[0].Pointer)
}

func TestSchedule_ToAURLIsSignedForEveryTenant(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	before, err := configured.Tenant(t.Context(), a.tenant)
	require.NoError(t, err)
	require.Empty(t, before.Secrets)
	a.create(message{"delay": "1h"})
	after, err := configured.Tenant(t.Context(), a.tenant)
	require.NoError(t, err)
	require.Regexp(t, "^whsec_", after.Secrets[0].Secret.Reveal())
	a.create(message{"delay": "1h"})
	again, err := configured.Tenant(t.Context(), a.tenant)
	require.NoError(t, err)
	require.Equal(t, after.Secrets[0].Secret.Reveal(), again.Secrets[0].Secret.Reveal())
}

func TestDelivery_ParksAndGoesOn(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	endpoint := a.endpoint("*", answering(200))
	_, err := configured.SetEndpointState(t.Context(), a.tenant, endpoint, postdate.Paused, "for now")
	require.NoError(t, err)
	id := a.publish(message{"id": "x"}).Deliveries[0].ID
	d := a.reaches(id, postdate.Parked)
	require.Contains(t, d.Reason, "not enabled")
	require.Empty(t, d.Attempts)
	require.Equal(t, id, a.listed(1, "state", "parked")[0].ID)
	_, err = configured.SetEndpointState(t.Context(), a.tenant, endpoint, postdate.Enabled, "")
	require.NoError(t, err)
	require.Len(t, a.reaches(id, postdate.Delivered).Attempts, 1)
	a.listed(1, "state", "delivered")
}
