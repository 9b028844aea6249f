package apiserver_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/eventually"
)

func (a *api) health(endpoint string) apiserver.Health {
	a.t.Helper()
	var h apiserver.Health
	a.do(http.MethodGet, "/v1/endpoints/"+endpoint+"/health", "").is(http.StatusOK).decode(&h)
	return h
}

func TestEndpoints_HaveAPace(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	bare := a.do(http.MethodGet, "/v1/endpoints/"+a.register(nil).ID, "").is(http.StatusOK).Body.String()
	for _, setting := range []string{"rate_limit", "max_in_flight", "coalesce"} {
		require.NotContains(t, bare, setting)
	}
	made := a.register(registration{
		"rate_limit": map[string]any{"per_second": 5, "burst": 2}, "max_in_flight": 10, "coalesce": true,
	})
	require.Equal(t, &postdate.RateLimit{PerSecond: 5, Burst: 2}, made.RateLimit)
	require.Equal(t, 10, made.MaxInFlight)
	require.True(t, made.Coalesce)

	e := a.onEndpoint(http.MethodPatch, made.ID, `{"rate_limit":{"per_minute":90}}`)
	require.Equal(t, &postdate.RateLimit{PerMinute: 90}, e.RateLimit, "it replaces the limit as a whole")
	require.Equal(t, 10, e.MaxInFlight)
	require.Equal(t, postdate.Pace{PerSecond: 1.5, Burst: 1, InFlight: 10}, a.health(made.ID).Limit)

	e = a.onEndpoint(http.MethodPatch, made.ID, `{"rate_limit":{},"max_in_flight":0,"coalesce":false}`)
	require.Nil(t, e.RateLimit)
	require.Zero(t, e.MaxInFlight)
	require.False(t, e.Coalesce)
	require.Equal(t, e, a.onEndpoint(http.MethodGet, made.ID, ""))
	require.Equal(t, postdate.Pace{InFlight: 100}, a.health(made.ID).Limit)
}

func TestEndpoints_ATestKeepsToThePace(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{
		"url": answering(http.StatusNoContent), "rate_limit": map[string]any{"per_minute": 1, "burst": 1},
	})
	a.do(http.MethodPost, "/v1/endpoints/"+made.ID+"/test", "").is(http.StatusOK)
	p := a.do(http.MethodPost, "/v1/endpoints/"+made.ID+"/test", "").problem(http.StatusConflict, postdate.Conflict)
	require.Contains(t, p.Detail, "no attempt was made: the endpoint has no permit to give just now")
}

func TestEndpoints_RefuseAPaceThatCannotBeKept(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(nil)
	for body, at := range map[string]string{
		`{"rate_limit":{"per_second":5,"per_minute":5}}`: "/rate_limit",
		`{"rate_limit":{"burst":5}}`:                     "/rate_limit",
		`{"rate_limit":{"per_minute":0.5}}`:              "/rate_limit/per_minute",
		`{"rate_limit":{"per_second":0.01}}`:             "/rate_limit/per_second",
		`{"rate_limit":{"per_second":0}}`:                "/rate_limit/per_second",
		`{"rate_limit":{"per_second":0,"per_minute":5}}`: "/rate_limit/per_second",
		`{"rate_limit":{"per_minute":0}}`:                "/rate_limit/per_minute",
		`{"rate_limit":{"per_second":-1}}`:               "/rate_limit/per_second",
		`{"rate_limit":{"per_second":10001}}`:            "/rate_limit/per_second",
		`{"rate_limit":{"per_second":"5"}}`:              "/rate_limit/per_second",
		`{"rate_limit":{"per_second":5,"burst":0}}`:      "/rate_limit/burst",
		`{"rate_limit":{"per_hour":5}}`:                  "/rate_limit/per_hour",
		`{"rate_limit":null}`:                            "/rate_limit",
		`{"max_in_flight":-1}`:                           "/max_in_flight",
		`{"max_in_flight":10001}`:                        "/max_in_flight",
		`{"coalesce":"newest"}`:                          "/coalesce",
	} {
		var fields registration
		require.NoError(t, json.Unmarshal([]byte(body), &fields))
		p := a.do(http.MethodPost, "/v1/endpoints", fields.String()).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer, body)
		p = a.do(http.MethodPatch, "/v1/endpoints/"+made.ID, body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer, body)
	}
	for body, at := range map[string]string{`{"rate_limit":{}}`: "/rate_limit", `{"max_in_flight":0}`: "/max_in_flight"} {
		var fields registration
		require.NoError(t, json.Unmarshal([]byte(body), &fields))
		p := a.do(http.MethodPost, "/v1/endpoints", fields.String()).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer, body)
	}
}

func TestEndpoints_RefuseANumberThatIsTooLarge(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(nil)
	p := a.do(http.MethodPatch, "/v1/endpoints/"+made.ID, `{"rate_limit":{"per_second":1e400}}`).
		problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Equal(t, []apiserver.FieldError{{Pointer: "/rate_limit/per_second", Detail: "is too large a number"}}, p.Errors)
}

func TestHealth_OfAnEndpointWithoutTrouble(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(nil)
	easy := postdate.Pace{InFlight: 100}
	require.Equal(t, postdate.Health{
		State: postdate.Enabled, Breaker: postdate.BreakerClosed, Limit: easy, Pace: easy,
	}, a.health(made.ID))
	a.onEndpoint(http.MethodPost, made.ID+"/pause", "")
	h := a.health(made.ID)
	require.Equal(t, postdate.Paused, h.State)
	require.Equal(t, "paused by its owner", h.Reason)
	a.do(http.MethodGet, "/v1/endpoints/ep_none/health", "").problem(http.StatusNotFound, postdate.NotFound)
	reader := "Bearer " + a.key(postdate.Read).Key
	a.do(http.MethodGet, "/v1/endpoints/"+made.ID+"/health", "", "Authorization", reader).is(http.StatusOK)
}

// What waits for its turn is seen there, is told when it comes, and can be
// cancelled until it does.
func TestWaiting_IsSeenAndCancelled(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	open := make(chan struct{})
	made := a.register(registration{"max_in_flight": 1, "url": receiver(func(ctx context.Context, _ postdate.Message) (postdate.Attempt, error) {
		select {
		case <-open:
		case <-ctx.Done():
		}
		return attempt(http.StatusOK), nil
	})})
	for i := range 4 {
		a.do(http.MethodPost, "/v1/events", `{"id":"e`+strconv.Itoa(i)+`","type":"t","entity":"n`+strconv.Itoa(i)+`"}`).is(http.StatusAccepted)
	}
	rows := a.listed(3, "state", "waiting", "endpoint", made.ID)
	eventually.True(t, func() bool { return a.health(made.ID).Waiting == 3 })
	require.Equal(t, postdate.Pace{InFlight: 1}, a.health(made.ID).Limit)

	var seen apiserver.Delivery
	a.do(http.MethodGet, "/v1/deliveries/"+rows[0].ID, "").is(http.StatusOK).decode(&seen)
	require.Equal(t, postdate.Waiting, seen.State)
	require.NotNil(t, seen.Queue)
	require.Contains(t, seen.Reason, "waits for its turn")
	require.Empty(t, seen.Attempts)

	entity := rows[0].Entity
	var dry, begun apiserver.Operation
	a.do(http.MethodPost, "/v1/deliveries/cancel", `{"state":"waiting","entity":"`+entity+`","dry_run":true}`).is(http.StatusOK).decode(&dry)
	require.Equal(t, 1, dry.Found)
	a.do(http.MethodPost, "/v1/deliveries/cancel", `{"state":"waiting","entity":"`+entity+`"}`).is(http.StatusAccepted).decode(&begun)
	require.Equal(t, 1, a.swept(begun.ID).Done)
	a.do(http.MethodGet, "/v1/deliveries/"+rows[0].ID, "").is(http.StatusOK).decode(&seen)
	require.Equal(t, postdate.Cancelled, seen.State)

	close(open)
	a.listed(3, "state", "delivered", "endpoint", made.ID)
	require.Len(t, a.listed(1, "state", "cancelled"), 1)
}

func TestCancelDeliveries_OfWhatMatches(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	paused, open := a.register(registration{"url": answering(http.StatusOK)}), a.register(registration{"url": answering(http.StatusOK)})
	a.onEndpoint(http.MethodPost, paused.ID+"/pause", "")
	for _, one := range []*api{a, b} {
		one.create(message{"id": "later", "delay": "1h", "entity": "e"})
		one.create(message{"id": "other", "delay": "1h", "entity": "another"})
	}
	a.do(http.MethodPost, "/v1/events", `{"id":"x","type":"t","entity":"e"}`).is(http.StatusAccepted)
	a.listed(1, "state", "parked")
	a.listed(1, "state", "delivered", "endpoint", open.ID)
	a.listed(2, "state", "scheduled")

	cancel := func(one *api, body string, status int) (s apiserver.Operation) {
		one.do(http.MethodPost, "/v1/deliveries/cancel", body).is(status).decode(&s)
		return s
	}
	require.Equal(t, apiserver.Operation{State: apiserver.DryRun, Found: 3}, cancel(a, `{"dry_run":true}`, http.StatusOK))
	require.Equal(t, 2, cancel(a, `{"dry_run":true,"entity":"e"}`, http.StatusOK).Found)
	require.Equal(t, 1, cancel(a, `{"dry_run":true,"state":"parked"}`, http.StatusOK).Found)
	require.Zero(t, cancel(b, `{"dry_run":true,"endpoint":"`+paused.ID+`"}`, http.StatusOK).Found)

	begun := cancel(a, `{"entity":"e"}`, http.StatusAccepted)
	require.Equal(t, apiserver.Operation{ID: begun.ID, State: apiserver.Finished, Found: 2, Done: 2}, a.swept(begun.ID))
	require.Equal(t, postdate.Cancelled, a.get("later").State)
	require.Equal(t, postdate.Scheduled, a.get("other").State)
	a.listed(2, "state", "cancelled")
	a.listed(1, "state", "delivered")
	require.Equal(t, postdate.Scheduled, b.get("later").State, "another tenant's")

	a.do(http.MethodPost, "/v1/deliveries/cancel", `{"state":"dead"}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	reader := "Bearer " + a.key(postdate.Read).Key
	a.do(http.MethodPost, "/v1/deliveries/cancel", `{}`, "Authorization", reader).problem(http.StatusForbidden, postdate.Forbidden)
}
