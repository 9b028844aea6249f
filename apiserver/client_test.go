package apiserver_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

// The generated client and the server speak of the same things: of schedules here,
// and of events below.
func TestClient_EveryCallAboutSchedules(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := httptest.NewServer(a.handler)
	defer server.Close()
	api, err := client.New(server.URL, adminKey, client.WithTenant(a.tenant))
	require.NoError(t, err)
	ctx, due := t.Context(), tomorrow()

	body := client.CreateSchedule{ID: "x", Type: "t", To: &postdate.Destination{URL: answering(http.StatusGone, http.StatusOK)}, DueAt: &due}
	made, err := api.CreateScheduleWithResponse(ctx, nil, body)
	require.NoError(t, err)
	require.Equal(t, postdate.Scheduled, made.JSON201.State)
	again, err := api.CreateScheduleWithResponse(ctx, &client.CreateScheduleParams{IdempotencyKey: new("k")}, body)
	require.NoError(t, err)
	require.Equal(t, made.JSON201, again.JSON200)

	changed, err := api.ChangeScheduleWithResponse(ctx, "x", client.ChangeSchedule{DueAt: new(due.Add(time.Hour))})
	require.NoError(t, err)
	require.Equal(t, due.Add(time.Hour), changed.JSON200.DueAt)
	_, err = api.FireScheduleWithResponse(ctx, "x")
	require.NoError(t, err)
	require.Equal(t, postdate.Dead, a.ended("x").State)
	got, err := api.GetScheduleWithResponse(ctx, "x")
	require.NoError(t, err)
	require.Equal(t, "the receiver is gone", got.JSON200.Reason[:20])
	_, err = api.CancelScheduleWithResponse(ctx, "x")
	problem, ok := errors.AsType[*client.Problem](err)
	require.True(t, ok)
	require.Equal(t, postdate.Conflict, problem.Code)

	_, err = api.RetryDeliveryWithResponse(ctx, "x")
	require.NoError(t, err)
	require.Equal(t, postdate.Delivered, a.ended("x").State)
	delivered, err := api.GetDeliveryWithResponse(ctx, "x")
	require.NoError(t, err)
	require.Len(t, delivered.JSON200.Attempts, 2)

	later, err := api.CreateScheduleWithResponse(ctx, nil, client.CreateSchedule{Type: "t", To: body.To, DueAt: &due, Entity: "e"})
	require.NoError(t, err)
	a.listed(1, "state", "scheduled")
	schedules, err := api.ListSchedulesWithResponse(ctx, &client.ListSchedulesParams{Entity: new("e"), DueAfter: new(due), Limit: new(10)})
	require.NoError(t, err)
	require.Equal(t, later.JSON201.ID, schedules.JSON200.Data[0].ID)
	deliveries, err := api.ListDeliveriesWithResponse(ctx, nil)
	require.NoError(t, err)
	require.NotEmpty(t, deliveries.JSON200.Data)
	cancelled, err := api.CancelDeliveryWithResponse(ctx, later.JSON201.ID)
	require.NoError(t, err)
	require.Equal(t, postdate.Cancelled, cancelled.JSON200.State)

	secret, err := api.GetSigningSecretWithResponse(ctx)
	require.NoError(t, err)
	require.Regexp(t, "^whsec_", secret.JSON200.Secret)
	rotated, err := api.RotateSigningSecretWithResponse(ctx, client.RotateSecret{})
	require.NoError(t, err)
	require.NotEqual(t, secret.JSON200.Secret, rotated.JSON200.Secret)
	_, err = api.GetHealthWithResponse(ctx)
	require.NoError(t, err)
	_, err = api.GetReadinessWithResponse(ctx)
	require.NoError(t, err)
}

func TestClient_EveryCallAboutEvents(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := httptest.NewServer(a.handler)
	defer server.Close()
	operator, err := client.New(server.URL, adminKey, client.WithTenant(a.tenant))
	require.NoError(t, err)
	ctx := t.Context()

	key, err := operator.CreateKeyWithResponse(ctx, client.CreateKey{Scope: postdate.Admin})
	require.NoError(t, err)
	api, err := client.New(server.URL, key.JSON201.Key)
	require.NoError(t, err)
	keys, err := api.ListKeysWithResponse(ctx)
	require.NoError(t, err)
	require.Equal(t, key.JSON201.Prefix, keys.JSON200.Data[0].Prefix)

	endpoint, err := api.CreateEndpointWithResponse(ctx, nil, client.CreateEndpoint{URL: answering(http.StatusOK), EventTypes: []string{"*"}})
	require.NoError(t, err)
	require.Regexp(t, "^whsec_", endpoint.JSON201.Secret)
	id := endpoint.JSON201.ID
	changed, err := api.ChangeEndpointWithResponse(ctx, id, client.ChangeEndpoint{Description: new("mine")})
	require.NoError(t, err)
	require.Equal(t, "mine", changed.JSON200.Description)
	_, err = api.RotateEndpointSecretWithResponse(ctx, id, client.RotateSecret{Overlap: new(postdate.Duration(time.Hour))})
	require.NoError(t, err)
	tested, err := api.TestEndpointWithResponse(ctx, id)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, tested.JSON200.Attempt.Status)
	paused, err := api.PauseEndpointWithResponse(ctx, id)
	require.NoError(t, err)
	require.Equal(t, postdate.Paused, paused.JSON200.State)
	_, err = api.ResumeEndpointWithResponse(ctx, id)
	require.NoError(t, err)
	got, err := api.GetEndpointWithResponse(ctx, id)
	require.NoError(t, err)
	require.Equal(t, postdate.Enabled, got.JSON200.State)
	endpoints, err := api.ListEndpointsWithResponse(ctx, nil)
	require.NoError(t, err)
	require.Len(t, endpoints.JSON200.Data, 1)

	published, err := api.PublishEventWithResponse(ctx, nil, client.Event{ID: "e", Type: "t"})
	require.NoError(t, err)
	require.Equal(t, id, published.JSON202.Deliveries[0].Endpoint)
	batch, err := api.PublishEventsWithResponse(ctx, nil, client.EventBatch{Events: []client.Event{{Type: "t"}}})
	require.NoError(t, err)
	require.Len(t, batch.JSON202.Data, 1)
	event, err := api.GetEventWithResponse(ctx, "e")
	require.NoError(t, err)
	require.Equal(t, "t", event.JSON200.Type)
	counted, err := api.RetryDeliveriesWithResponse(ctx, client.RetryDeliveries{DryRun: true})
	require.NoError(t, err)
	require.Zero(t, counted.JSON200.Found)
	sweep, err := api.RetryDeliveriesWithResponse(ctx, client.RetryDeliveries{Endpoint: id})
	require.NoError(t, err)
	_, err = api.GetOperationWithResponse(ctx, sweep.JSON202.ID)
	require.NoError(t, err)

	_, err = api.DeleteEndpointWithResponse(ctx, id)
	require.NoError(t, err)
	_, err = api.RevokeKeyWithResponse(ctx, key.JSON201.ID)
	require.NoError(t, err)
	_, err = api.ListKeysWithResponse(ctx)
	problem, ok := errors.AsType[*client.Problem](err)
	require.True(t, ok)
	require.Equal(t, postdate.Unauthorized, problem.Code)
}
