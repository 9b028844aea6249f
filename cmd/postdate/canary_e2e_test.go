package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// sides is a receiver with a path for the primary, one for its canary and one for the
// operator, each of which answers as it is told.
type sides struct {
	*httptest.Server

	mu       sync.Mutex
	status   map[string]int            // by path
	attempts map[string]int            // by path
	accepted map[string]map[string]int // by path, then message
	headers  map[string]http.Header    // of what came last, by path
}

func newSides(t *testing.T) *sides {
	t.Helper()
	s := &sides{status: map[string]int{}, attempts: map[string]int{}, accepted: map[string]map[string]int{}, headers: map[string]http.Header{}}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.attempts[r.URL.Path]++
		s.headers[r.URL.Path] = r.Header
		if status := s.status[r.URL.Path]; status != 0 {
			w.WriteHeader(status)
			return
		}
		if s.accepted[r.URL.Path] == nil {
			s.accepted[r.URL.Path] = map[string]int{}
		}
		s.accepted[r.URL.Path][r.Header.Get("Webhook-Id")]++
		w.WriteHeader(http.StatusNoContent)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *sides) answer(path string, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status[path] = status
}

// took are how often each message was accepted at a path.
func (s *sides) took(path string) map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.accepted[path])
}

func (s *sides) last(path string) http.Header {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.headers[path]
}

// withCanary makes an endpoint that has a canary, and returns its id.
func (p *program) withCanary(s *sides, canary map[string]any) string {
	p.t.Helper()
	canary["url"] = s.URL + "/canary"
	return p.paced(s.URL+"/primary", map[string]any{"canary": canary})
}

// canary is the canary of an endpoint. An engine that has just started on a busy machine may
// have the first requests try again.
func (p *program) canary(endpoint string) (canary map[string]any) {
	p.t.Helper()
	eventually.True(p.t, func() bool {
		status, answer := p.call(http.MethodGet, "/v1/endpoints/"+endpoint, nil)
		if status == http.StatusServiceUnavailable {
			return false
		}
		require.Equal(p.t, http.StatusOK, status, answer)
		canary, _ = answer["canary"].(map[string]any)
		return true
	})
	return canary
}

// awaitCanary waits until a field of the canary is as given.
func (p *program) awaitCanary(endpoint, field string, want any) {
	p.t.Helper()
	eventually.True(p.t, func() bool { return p.canary(endpoint)[field] == want })
}

// about publishes an event about each of n entities, and returns the events' ids.
func (p *program) about(n int, name string) (ids []string) {
	p.t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		status, answer := p.call(http.MethodPost, "/v1/events", map[string]any{"id": id, "type": "t", "entity": fmt.Sprintf("customer_%d", i)})
		require.Equal(p.t, http.StatusAccepted, status, answer)
		ids = append(ids, id)
	}
	return ids
}

func TestACanarysPlanGoesOnAfterAStopAndAKill(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	p := newDevProcess(t)
	endpoint := p.withCanary(s, map[string]any{"then": "promote", "plan": []map[string]any{
		{"percent": 10, "for": "4s"}, {"percent": 50, "for": "4s"}, {"percent": 100, "for": "1s"},
	}})
	p.stop(syscall.SIGTERM)
	p.start()
	p.awaitCanary(endpoint, "share", 5000.0)
	ids := p.about(100, "half")
	eventually.True(t, func() bool { return len(s.took("/primary"))+len(s.took("/canary")) == len(ids) })
	p.stop(syscall.SIGKILL)
	require.InDelta(t, 50, len(s.took("/canary")), 25, "about half of them")
	require.NotEmpty(t, s.last("/canary").Get("Postdate-Canary"))
	require.Empty(t, s.last("/primary").Get("Postdate-Canary"))
	p.start()
	p.awaitCanary(endpoint, "state", "promoted")
	_, answer := p.call(http.MethodGet, "/v1/endpoints/"+endpoint, nil)
	require.Equal(t, s.URL+"/canary", answer["url"])

	before := len(s.took("/canary"))
	p.about(10, "all")
	eventually.True(t, func() bool { return len(s.took("/canary")) == before+10 })
	require.Empty(t, s.last("/canary").Get("Postdate-Canary"), "it is the primary now")
}

func TestAWorseCanaryIsRolledBackByItself(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.answer("/canary", http.StatusInternalServerError)
	p := newDevProcess(t)
	status, answer := p.callAs("operator", http.MethodPost, "/v1/endpoints", map[string]any{
		"url": s.URL + "/operator", "event_types": []string{"endpoint.canary_rolled_back"},
	})
	require.Equal(t, http.StatusCreated, status, answer)
	endpoint := p.withCanary(s, map[string]any{"share": 3000, "auto_rollback": map[string]any{"margin": 10, "minimum": 5}})
	ids := p.about(100, "worse")
	p.awaitCanary(endpoint, "state", "rolled_back")
	require.Contains(t, p.canary(endpoint)["reason"], "at the canary succeeded")

	eventually.True(t, func() bool { return len(s.took("/primary")) == len(ids) }, "all go on at the primary")
	for id, times := range s.took("/primary") {
		require.Equal(t, 1, times, id)
	}
	failed := ""
	for _, id := range ids {
		eventually.True(t, func() bool {
			_, answer = p.call(http.MethodGet, "/v1/deliveries/"+id+"."+endpoint, nil)
			return answer["state"] == "delivered"
		})
		require.Nil(t, answer["canary"], "it took the primary in the end")
		attempts := answer["attempts"].([]any)
		if first := attempts[0].(map[string]any); first["canary"] != nil {
			failed = id
			require.InDelta(t, 500, first["status"], 0)
			require.Nil(t, attempts[len(attempts)-1].(map[string]any)["canary"])
		}
	}
	require.NotEmpty(t, failed, "some were tried at the canary first")
	eventually.True(t, func() bool { return len(s.took("/operator")) == 1 }, "the operator is told")

	_, health := p.call(http.MethodGet, "/v1/endpoints/"+endpoint+"/health", nil)
	both := health["canary"].(map[string]any)
	require.GreaterOrEqual(t, both["canary"].(map[string]any)["attempts"], 5.0)
	require.Zero(t, both["canary"].(map[string]any)["succeeded"])
	require.InEpsilon(t, 1, both["primary"].(map[string]any)["success_ratio"], 0.001)
	require.Contains(t, both["canary"].(map[string]any)["answers"], "5xx")
}

func TestACanaryIsHeldAndRolledBackByHand(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.answer("/canary", http.StatusServiceUnavailable)
	p := newDevProcess(t)
	endpoint := p.withCanary(s, map[string]any{"entities": []string{"customer_0"}})
	held := p.about(1, "stays")[0] + "." + endpoint
	eventually.True(t, func() bool {
		_, answer := p.call(http.MethodGet, "/v1/deliveries/"+held, nil)
		attempts, _ := answer["attempts"].([]any)
		return len(attempts) == 2
	})
	require.Empty(t, s.took("/primary"), "retries stay where they are")
	for _, action := range []string{"hold", "hold", "rollback", "rollback"} {
		status, answer := p.call(http.MethodPost, "/v1/endpoints/"+endpoint+"/canary/"+action, nil)
		require.Equal(t, http.StatusOK, status, answer)
	}
	eventually.True(t, func() bool { return len(s.took("/primary")) == 1 })
	status, answer := p.call(http.MethodPost, "/v1/endpoints/"+endpoint+"/canary/promote", nil)
	require.Equal(t, http.StatusConflict, status, answer)
}

func TestAMirrorGetsCopiesThatChangeNothing(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	s.answer("/canary", http.StatusNotFound) // the breaker minds no such answer
	p := newDevProcess(t)
	endpoint := p.withCanary(s, map[string]any{"share": 10_000, "mirror": true})
	ids := p.about(20, "copied")
	eventually.True(t, func() bool { return len(s.took("/primary")) == len(ids) })
	counted := func() (both map[string]any, attempts any) {
		_, health := p.call(http.MethodGet, "/v1/endpoints/"+endpoint+"/health", nil)
		both = health["canary"].(map[string]any)
		return both, both["canary"].(map[string]any)["attempts"]
	}
	eventually.True(t, func() bool {
		_, attempts := counted()
		return attempts == float64(len(ids))
	}, "its answers are noted")
	both, _ := counted()
	require.Equal(t, map[string]any{"4xx": float64(len(ids))}, both["canary"].(map[string]any)["answers"])
	require.InEpsilon(t, 1, both["primary"].(map[string]any)["success_ratio"], 0.001)
	require.Equal(t, "true", s.last("/canary").Get("Postdate-Mirror"))
	for _, id := range ids {
		_, answer := p.call(http.MethodGet, "/v1/deliveries/"+id+"."+endpoint, nil)
		require.Equal(t, "delivered", answer["state"])
		require.Len(t, answer["attempts"], 1)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	require.Equal(t, len(ids), s.attempts["/canary"], "none was sent again")
}
