package system

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

// api is a Postdate whose API is h.
func api(t *testing.T, h http.HandlerFunc) *Postdate {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	require.NoError(t, err)
	return &Postdate{apis: []string{address.Host}, http: server.Client()}
}

// request is the last one that an API got.
type request struct {
	line string // method and path
	body map[string]any
}

// answering is a Postdate whose API gives every request the same answer.
func answering(t *testing.T, status int, answer string) (*Postdate, *request) {
	t.Helper()
	got := &request{}
	return api(t, func(w http.ResponseWriter, req *http.Request) {
		got.line, got.body = req.Method+" "+req.URL.String(), nil
		_ = json.NewDecoder(req.Body).Decode(&got.body)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}), got
}

func TestPostdate_ActsForAnotherTenantWithoutChangingItself(t *testing.T) {
	t.Parallel()
	var tenants, keys []string
	p := api(t, func(w http.ResponseWriter, req *http.Request) {
		tenants, keys = append(tenants, req.Header.Get("Postdate-Tenant")), append(keys, req.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
	})
	p.key = "secret"
	require.NoError(t, p.As("other").Publish(t.Context(), &rig.Message{ID: "a"}))
	require.NoError(t, p.Publish(t.Context(), &rig.Message{ID: "b"}))
	require.Equal(t, []string{"other", ""}, tenants)
	require.Equal(t, []string{"Bearer secret", "Bearer secret"}, keys)
}

func TestPostdate_TakesARepeatedRequestForDoneAfterA503(t *testing.T) {
	t.Parallel()
	statuses := []int{http.StatusServiceUnavailable, http.StatusOK, http.StatusConflict}
	p := api(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(statuses[0])
		statuses = statuses[1:]
	})
	require.NoError(t, p.Publish(t.Context(), &rig.Message{ID: "a"}))
	require.Len(t, statuses, 1)
	require.ErrorContains(t, p.Publish(t.Context(), &rig.Message{ID: "a"}), "409 Conflict")
}

func TestEndpoints_AreRegisteredChangedAndAsked(t *testing.T) {
	t.Parallel()
	p, got := answering(t, http.StatusCreated, `{"id": "ep_1"}`)
	id, err := p.Register(t.Context(), map[string]any{"max_in_flight": 10})
	require.NoError(t, err)
	require.Equal(t, "ep_1", id)
	require.Equal(t, "POST /v1/endpoints", got.line)
	require.InDelta(t, 10, got.body["max_in_flight"], 0)

	require.NoError(t, p.Subscribe(t.Context(), "http://receiver/", "a.b", 2))
	require.Equal(t, map[string]any{"url": "http://receiver/1", "event_types": []any{"a.b"}}, got.body)

	p, got = answering(t, http.StatusOK, `{"waiting": 7}`)
	require.NoError(t, p.UpdateEndpoint(t.Context(), "ep_1", map[string]any{"max_in_flight": 500}))
	require.Equal(t, "PATCH /v1/endpoints/ep_1", got.line)
	waiting, err := p.Waiting(t.Context(), "ep_1")
	require.NoError(t, err)
	require.Equal(t, 7, waiting)
	require.Equal(t, "GET /v1/endpoints/ep_1/health", got.line)
}
