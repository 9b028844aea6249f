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

// The generated client and the server speak of the same things.
func TestClient_EveryCall(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := httptest.NewServer(a.handler)
	defer server.Close()
	api, err := client.New(server.URL, adminKey, client.WithTenant(a.tenant))
	require.NoError(t, err)
	ctx, due := t.Context(), tomorrow()

	body := client.CreateSchedule{ID: "x", Type: "t", To: postdate.Destination{URL: answering(http.StatusGone, http.StatusOK)}, DueAt: due}
	made, err := api.CreateScheduleWithResponse(ctx, nil, body)
	require.NoError(t, err)
	require.Equal(t, postdate.Scheduled, made.JSON201.State)
	again, err := api.CreateScheduleWithResponse(ctx, &client.CreateScheduleParams{IdempotencyKey: new("k")}, body)
	require.NoError(t, err)
	require.Equal(t, made.JSON201, again.JSON200)

	changed, err := api.ChangeScheduleWithResponse(ctx, "x", client.ChangeSchedule{DueAt: due.Add(time.Hour)})
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

	later, err := api.CreateScheduleWithResponse(ctx, nil, client.CreateSchedule{Type: "t", To: body.To, DueAt: due, Entity: "e"})
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
	require.Equal(t, "whsec_"+a.tenant, secret.JSON200.Secret)
	_, err = api.GetHealthWithResponse(ctx)
	require.NoError(t, err)
	_, err = api.GetReadinessWithResponse(ctx)
	require.NoError(t, err)
}
