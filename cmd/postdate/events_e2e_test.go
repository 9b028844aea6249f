package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// hooks is a receiver with as many endpoints as it has paths. It notes which
// message came to which path.
type hooks struct {
	*httptest.Server

	mu      sync.Mutex
	status  int // what it answers
	arrived map[string]http.Header
	bodies  map[string][]byte
}

func newHooks(t *testing.T) *hooks {
	t.Helper()
	h := &hooks{status: http.StatusNoContent, arrived: map[string]http.Header{}, bodies: map[string][]byte{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.status < 300 {
			key := r.Header.Get("Webhook-Id") + r.URL.Path
			h.arrived[key], h.bodies[key] = r.Header, body
		}
		w.WriteHeader(h.status)
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hooks) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

// missing is how many of these messages have not come to each of the first n paths.
func (h *hooks) missing(ids []string, n int) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	count := 0
	for _, id := range ids {
		for path := range n {
			if h.arrived[id+"/"+strconv.Itoa(path)] == nil {
				count++
			}
		}
	}
	return count
}

func (h *hooks) await(t *testing.T, path string, ids ...string) {
	t.Helper()
	eventually.True(t, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, id := range ids {
			if h.arrived[id+path] == nil {
				return false
			}
		}
		return true
	}, "not all of %v came to %s", ids, path)
}

// register makes an endpoint, and answers its id.
func (p *program) register(url string, types ...string) string {
	p.t.Helper()
	status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
		"url": url, "event_types": types, "timeout": "2s",
		"retry":   map[string]any{"schedule": []string{"1s", "2s", "3s", "5s", "10s"}},
		"headers": map[string]string{"x-token": "planted-in-a-header"},
	})
	require.Equal(p.t, http.StatusCreated, status, answer)
	require.NotEmpty(p.t, answer["secret"])
	return answer["id"].(string)
}

// tryPublish publishes an event, and reports whether it was accepted.
func (p *program) tryPublish(id string) bool {
	body, err := json.Marshal(map[string]any{"id": id, "type": "payment_request.expired", "data": map[string]string{"payment_request": id}})
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+"/v1/events", bytes.NewReader(body))
	if err != nil {
		return false
	}
	request.Header.Set("Authorization", "Bearer "+testKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err == nil && response.StatusCode == http.StatusAccepted
}

// TestAKillLosesNoEvent kills the process in the middle of 500 publishes to 20
// endpoints each. What was answered 202 must reach all 20.
func TestAKillLosesNoEvent(t *testing.T) {
	t.Parallel()
	const events, endpoints, publishers = 500, 20, 16
	h := newHooks(t)
	p := newDevProcess(t)
	for i := range endpoints {
		p.register(h.URL+"/"+strconv.Itoa(i), "payment_request.*")
	}

	var mu sync.Mutex
	var accepted []string
	half := make(chan struct{})
	next := make(chan int, events)
	for i := range events {
		next <- i
	}
	close(next)
	var publishing sync.WaitGroup
	for range publishers {
		publishing.Go(func() {
			for i := range next {
				id := fmt.Sprintf("event-%d", i)
				if !p.tryPublish(id) {
					continue // nobody was promised anything
				}
				mu.Lock()
				if accepted = append(accepted, id); len(accepted) == events/2 {
					close(half)
				}
				mu.Unlock()
			}
		})
	}
	<-half
	p.stop(syscall.SIGKILL)
	publishing.Wait()
	require.GreaterOrEqual(t, len(accepted), events/2)
	p.start()
	eventually.True(t, func() bool { return h.missing(accepted, endpoints) == 0 },
		"some of what was accepted did not come to all endpoints")
}

// TestAnEndpointThatIsAwayLosesNothing parks what is due while an endpoint is
// paused, over a kill, and sends it afterwards.
func TestAnEndpointThatIsAwayLosesNothing(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	p := newDevProcess(t)
	id := p.register(h.URL+"/0", "*")
	status, answer := p.call(http.MethodPost, "/v1/endpoints/"+id+"/pause", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Equal(t, "paused", answer["state"])

	require.True(t, p.tryPublish("parked-1"))
	status, answer = p.call(http.MethodPost, "/v1/schedules", map[string]any{"id": "parked-2", "type": "t", "delay": "1s"})
	require.Equal(t, http.StatusCreated, status, answer)
	for _, event := range []string{"parked-1", "parked-2"} {
		eventually.True(t, func() bool {
			_, answer := p.call(http.MethodGet, "/v1/deliveries/"+event+"."+id, nil)
			return answer["state"] == "parked"
		}, event)
	}
	p.stop(syscall.SIGKILL)
	p.start()
	require.Equal(t, 2, h.missing([]string{"parked-1", "parked-2"}, 1))
	status, answer = p.call(http.MethodPost, "/v1/endpoints/"+id+"/resume", nil)
	require.Equal(t, http.StatusOK, status, answer)
	h.await(t, "/0", "parked-1", "parked-2")
}

// TestTheOperatorIsTold of what happens to the endpoints of others, once.
func TestTheOperatorIsTold(t *testing.T) {
	t.Parallel()
	gone, operator := newHooks(t), newHooks(t)
	gone.answer(http.StatusGone)
	p := newDevProcess(t)
	status, answer := p.callAs("operator", http.MethodPost, "/v1/endpoints", map[string]any{
		"url": operator.URL + "/0", "event_types": []string{"endpoint.*", "delivery.dead"},
	})
	require.Equal(t, http.StatusCreated, status, answer)
	id := p.register(gone.URL+"/0", "*")
	require.True(t, p.tryPublish("unwanted"))

	eventually.True(t, func() bool {
		_, answer := p.call(http.MethodGet, "/v1/endpoints/"+id, nil)
		return answer["state"] == "disabled"
	})
	eventually.True(t, func() bool { return len(operator.types(t)) == 2 })
	require.Equal(t, map[string]int{"endpoint.disabled": 1, "delivery.dead": 1}, operator.types(t))
}

// TestAnEndpointThatFailsForTooLongIsDisabled, and one that recovers is not.
func TestAnEndpointThatFailsForTooLongIsDisabled(t *testing.T) {
	t.Parallel()
	down, shaky, operator := newHooks(t), newHooks(t), newHooks(t)
	down.answer(http.StatusInternalServerError)
	shaky.answer(http.StatusInternalServerError)
	p := newDevProcess(t, "POSTDATE_DISABLE_AFTER=1s")
	status, answer := p.callAs("operator", http.MethodPost, "/v1/endpoints", map[string]any{
		"url": operator.URL + "/0", "event_types": []string{"endpoint.*"},
	})
	require.Equal(t, http.StatusCreated, status, answer)
	lost, kept := p.register(down.URL+"/0", "*"), p.register(shaky.URL+"/0", "*")

	// Each look publishes something more for both.
	state, events := map[string]any{}, 0
	look := func(id string) map[string]any {
		events++
		require.True(t, p.tryPublish(fmt.Sprintf("failing-%d", events)))
		_, state = p.call(http.MethodGet, "/v1/endpoints/"+id, nil)
		return state
	}
	eventually.True(t, func() bool { return look(kept)["failing_since"] != nil })
	shaky.answer(http.StatusNoContent)
	eventually.True(t, func() bool { return look(kept)["failing_since"] == nil })
	require.Equal(t, "enabled", state["state"])
	eventually.True(t, func() bool { return look(lost)["state"] == "disabled" })
	require.Contains(t, state["reason"], "failed for")
	eventually.True(t, func() bool { return len(operator.types(t)) == 3 })
	require.Equal(t, map[string]int{"endpoint.failing": 2, "endpoint.recovered": 1, "endpoint.disabled": 1}, operator.types(t))
}

// types are those of the messages that came, and how many came of each.
func (h *hooks) types(t *testing.T) map[string]int {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	seen := map[string]int{}
	for _, body := range h.bodies {
		var message struct{ Type string }
		require.NoError(t, json.Unmarshal(body, &message))
		seen[message.Type]++
	}
	return seen
}

// TestNothingOfATenantLiesInTheClear looks for secrets of endpoints and keys in
// all that the process has written to disk.
func TestNothingOfATenantLiesInTheClear(t *testing.T) {
	t.Parallel()
	h := newHooks(t)
	p := newDevProcess(t)
	status, made := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
		"url": h.URL + "/path-of-the-endpoint", "event_types": []string{"*"}, "headers": map[string]string{"x-token": "planted-in-a-header"},
	})
	require.Equal(t, http.StatusCreated, status, made)
	status, key := p.call(http.MethodPost, "/v1/keys", map[string]any{"scope": "read"})
	require.Equal(t, http.StatusCreated, status, key)
	require.True(t, p.tryPublish("planted-event"))
	h.await(t, "/path-of-the-endpoint", "planted-event")
	require.Equal(t, "planted-in-a-header", h.arrived["planted-event/path-of-the-endpoint"].Get("X-Token"))
	p.stop(syscall.SIGKILL) // leaves the write-ahead logs as they are

	secrets := []string{"planted-in-a-header", "path-of-the-endpoint", made["secret"].(string), key["key"].(string)}
	require.NoError(t, filepath.WalkDir(p.data(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		for _, secret := range secrets {
			require.False(t, bytes.Contains(kept, []byte(secret)), "%.12q… is in %s", secret, filepath.Base(path))
		}
		return nil
	}))
	for _, secret := range secrets {
		require.NotContains(t, p.log.String(), secret)
	}
}

// TestAnEventReachesAThousandEndpoints, which is as many as a tenant may have.
func TestAnEventReachesAThousandEndpoints(t *testing.T) {
	t.Parallel()
	const endpoints, clients = 1000, 8
	h := newHooks(t)
	p := newDevProcess(t)
	next := make(chan int, endpoints)
	for i := range endpoints {
		next <- i
	}
	close(next)
	var registering sync.WaitGroup
	for range clients {
		registering.Go(func() {
			for i := range next {
				status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
					"url": h.URL + "/" + strconv.Itoa(i), "event_types": []string{"*"},
				})
				assert.Equal(t, http.StatusCreated, status, answer)
			}
		})
	}
	registering.Wait()
	status, answer := p.call(http.MethodPost, "/v1/endpoints", map[string]any{"url": h.URL, "event_types": []string{"*"}})
	require.Equal(t, http.StatusUnprocessableEntity, status, answer)
	require.Contains(t, answer["detail"], "1000")

	status, answer = p.call(http.MethodPost, "/v1/events", map[string]any{"id": "to-all", "type": "t"})
	require.Equal(t, http.StatusAccepted, status, answer)
	require.Len(t, answer["deliveries"], endpoints)
	eventually.True(t, func() bool { return h.missing([]string{"to-all"}, endpoints) == 0 })

	seen := map[string]bool{}
	eventually.True(t, func() bool {
		clear(seen)
		for cursor := ""; ; {
			_, page := p.call(http.MethodGet, "/v1/deliveries?state=delivered&limit=200"+cursor, nil)
			if page["data"] == nil {
				return false
			}
			for _, row := range page["data"].([]any) {
				id := row.(map[string]any)["id"].(string)
				require.False(t, seen[id], "listed twice: %s", id)
				seen[id] = true
			}
			if page["has_more"] == false {
				return len(seen) == endpoints
			}
			cursor = "&cursor=" + page["next_cursor"].(string)
		}
	})
}
