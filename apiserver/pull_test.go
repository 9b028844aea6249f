package apiserver_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/client"
)

// pullEndpoint makes an endpoint that is pulled from, and returns its id.
func (a *api) pullEndpoint(eventType string) string {
	a.t.Helper()
	var made apiserver.EndpointWithSecret
	a.do(http.MethodPost, "/v1/endpoints", `{"pull":true,"event_types":["`+eventType+`"],"retry":{"schedule":["0s"]}}`).
		is(http.StatusCreated).decode(&made)
	require.True(a.t, made.Pull)
	return made.ID
}

func TestPull_AKeyOpensOneEndpoint(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	own, other := a.pullEndpoint("t"), a.pullEndpoint("u")
	var key apiserver.KeyWithText
	a.do(http.MethodPost, "/v1/keys", `{"scope":"pull","endpoint":"`+own+`"}`).is(http.StatusCreated).decode(&key)
	require.Equal(t, own, key.Endpoint)
	require.Equal(t, postdate.Pull, key.Scope)
	var listed apiserver.KeyList
	a.do(http.MethodGet, "/v1/keys", "").is(http.StatusOK).decode(&listed)
	require.Equal(t, own, listed.Data[0].Endpoint)

	for _, path := range []string{"/pull", "/ack", "/nack", "/extend"} {
		body := `{}`
		if path != "/pull" {
			body = `{"receipts":["rc1_x"]}`
		}
		if path == "/extend" {
			body = `{"receipts":["rc1_x"],"lease":"1m"}`
		}
		a.with(key.Key, http.MethodPost, "/v1/endpoints/"+own+path, body).is(http.StatusOK)
		a.with(key.Key, http.MethodPost, "/v1/endpoints/"+other+path, body).problem(http.StatusForbidden, postdate.Forbidden)
		a.with(a.key(postdate.Write).Key, http.MethodPost, "/v1/endpoints/"+other+path, body).is(http.StatusOK)
		a.with(a.key(postdate.Read).Key, http.MethodPost, "/v1/endpoints/"+other+path, body).problem(http.StatusForbidden, postdate.Forbidden)
	}
	for method, path := range map[string]string{
		http.MethodGet: "/v1/endpoints/" + own, http.MethodPost: "/v1/events", http.MethodPatch: "/v1/endpoints/" + own,
	} {
		a.with(key.Key, method, path, `{"type":"t"}`).problem(http.StatusForbidden, postdate.Forbidden)
	}
	elsewhere := newAPI(t)
	elsewhere.do(http.MethodPost, "/v1/endpoints/"+own+"/pull", `{}`).problem(http.StatusNotFound, postdate.NotFound)
}

func TestPull_RefusesWhatHasNoMeaning(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	own, sent := a.pullEndpoint("t"), a.endpoint("t", answering(http.StatusOK))
	for body, pointer := range map[string]string{
		`{"pull":true,"event_types":["t"],"url":"https://a.example/"}`:      "/url",
		`{"pull":true,"event_types":["t"],"stream":"payments"}`:             "/stream",
		`{"pull":true,"event_types":["t"],"headers":{"x-team":"billing"}}`:  "/headers",
		`{"pull":true,"event_types":["t"],"timeout":"5s"}`:                  "/timeout",
		`{"pull":true,"event_types":["t"],"mode":"cloudevents_structured"}`: "/mode",
		`{"pull":false,"event_types":["t"]}`:                                "/url",
	} {
		p := a.do(http.MethodPost, "/v1/endpoints", body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, body)
	}
	for body, pointer := range map[string]string{
		`{"scope":"pull"}`:                           "/endpoint",
		`{"scope":"pull","endpoint":"ep_none"}`:      "/endpoint",
		`{"scope":"pull","endpoint":"` + sent + `"}`: "/endpoint",
		`{"scope":"write","endpoint":"` + own + `"}`: "/endpoint",
		`{"scope":"pull","endpoint":"not an id"}`:    "/endpoint",
	} {
		p := a.do(http.MethodPost, "/v1/keys", body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, body)
	}
	for request, pointer := range map[string]string{
		`/pull {"max":0}`:                              "/max",
		`/pull {"max":101}`:                            "/max",
		`/pull {"wait":"61s"}`:                         "/wait",
		`/pull {"wait":"-1s"}`:                         "/wait",
		`/pull {"lease":"500ms"}`:                      "/lease",
		`/pull {"lease":"13h"}`:                        "/lease",
		`/ack {}`:                                      "/receipts",
		`/ack {"receipts":[]}`:                         "/receipts",
		`/nack {"receipts":["x"],"retry_after":"25h"}`: "/retry_after",
		`/nack {"receipts":["x"],"retry_after":"-1s"}`: "/retry_after",
		`/extend {"receipts":["x"]}`:                   "/lease",
		`/extend {"receipts":["x"],"lease":"13h"}`:     "/lease",
	} {
		path, body, _ := strings.Cut(request, " ")
		p := a.do(http.MethodPost, "/v1/endpoints/"+own+path, body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, request)
	}
	a.do(http.MethodPost, "/v1/endpoints/"+sent+"/pull", `{}`).problem(http.StatusConflict, postdate.Conflict)
	a.do(http.MethodPost, "/v1/endpoints/ep_none/pull", `{}`).problem(http.StatusNotFound, postdate.NotFound)
	a.do(http.MethodPost, "/v1/endpoints/"+own+"/test", "").problem(http.StatusConflict, postdate.Conflict)
}

func TestClient_PullsAndSettles(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	server := httptest.NewServer(a.handler)
	defer server.Close()
	api, err := client.New(server.URL, adminKey, client.WithTenant(a.tenant))
	require.NoError(t, err)
	endpoint := a.pullEndpoint("t")
	for range 4 {
		a.publish(message{"type": "t", "entity": "customer_42", "data": map[string]any{"n": 1}})
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	taken, nacked := 0, false
	for m, err := range api.Messages(ctx, endpoint, client.PullOptions{Max: 2}) {
		require.NoError(t, err)
		require.Equal(t, "customer_42", m.Entity)
		require.JSONEq(t, `{"n":1}`, string(m.Data))
		if !nacked {
			nacked = true
			require.NoError(t, m.Nack(ctx, 0, "not yet"))
			continue
		}
		require.NoError(t, m.Extend(ctx, 2*time.Minute))
		require.NoError(t, m.Ack(ctx))
		require.NoError(t, m.Ack(ctx), "repeated")
		taken++
		if taken == 4 {
			var late *client.SettleError
			require.ErrorAs(t, m.Nack(ctx, 0, "too late"), &late)
			require.Equal(t, postdate.LeaseEnded, late.Result)
			break
		}
	}
	require.Equal(t, 4, taken)
	for _, err := range api.Messages(ctx, "ep_none", client.PullOptions{}) {
		require.True(t, client.Permanent(err))
		break
	}
}
