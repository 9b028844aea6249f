package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// try sends a request, and reports whether it was answered. Nothing was promised to others.
func (p *program) try(method, path string, body any) (status int, answer map[string]any, answered bool) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return 0, nil, false
	}
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(encoded))
	if err != nil {
		return 0, nil, false
	}
	request.Header.Set("Authorization", "Bearer "+testKey)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, nil, false
	}
	defer response.Body.Close()
	err = json.NewDecoder(response.Body).Decode(&answer)
	return response.StatusCode, answer, err == nil
}

// side runs do for each of n, some side by side, and kills the process once half of them
// are done.
func (p *program) side(n int, do func(int) bool) {
	p.t.Helper()
	var mu sync.Mutex
	done, half := 0, make(chan struct{})
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var group sync.WaitGroup
	for range 32 {
		group.Go(func() {
			for i := range next {
				if !do(i) {
					continue
				}
				mu.Lock()
				done++
				if done == n/2 {
					close(half)
				}
				mu.Unlock()
			}
		})
	}
	<-half
	p.stop(syscall.SIGKILL)
	group.Wait()
	p.start()
}

// TestAKillLosesNoScheduleThatNobodyNamed kills the process while schedules are accepted
// that share executions, while they are cancelled, fired and rescheduled, and at the moment
// at which they are due. What was answered holds.
func TestAKillLosesNoScheduleThatNobodyNamed(t *testing.T) {
	t.Parallel()
	const schedules = 600
	var mu sync.Mutex
	got := make(map[string]int)
	early := make(map[string]bool)
	due := time.Now().UTC().Add(30 * time.Second).Truncate(time.Second)
	receiver := newCounter(t)
	handler := receiver.Config.Handler
	receiver.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get("Webhook-Id")
		mu.Lock()
		got[id]++
		early[id] = early[id] || time.Now().Before(due)
		mu.Unlock()
		handler.ServeHTTP(w, r)
	})
	p := newDevProcess(t)

	// Accept.
	var ids []string
	p.side(schedules, func(int) bool {
		status, answer, answered := p.try(http.MethodPost, "/v1/schedules", map[string]any{
			"type": "t", "due_at": due, "to": map[string]any{"url": receiver.URL},
			"retry": map[string]any{"schedule": []string{"1s", "2s", "3s", "5s"}},
		})
		id, _ := answer["id"].(string)
		if !answered || status != http.StatusCreated || id == "" {
			return false
		}
		mu.Lock()
		ids = append(ids, id)
		mu.Unlock()
		return true
	})
	shared := 0
	for _, id := range ids {
		if strings.Count(id, "_") == 2 {
			shared++
		}
	}
	require.Greater(t, shared, len(ids)/2, "they travel together")

	// Change a third of them.
	changed := make(map[string]string)
	p.side(len(ids)/3, func(n int) bool {
		id, what := ids[n], []string{"cancelled", "fired", "rescheduled"}[n%3]
		method, path, body := http.MethodDelete, "/v1/schedules/"+id, any(nil)
		switch what {
		case "fired":
			method, path = http.MethodPost, path+"/fire"
		case "rescheduled":
			method, body = http.MethodPatch, map[string]any{"due_at": due.Add(2 * time.Second)}
		}
		mu.Lock()
		changed[id] = "perhaps " + what
		mu.Unlock()
		status, _, answered := p.try(method, path, body)
		if !answered || status != http.StatusOK {
			return false
		}
		mu.Lock()
		changed[id] = what
		mu.Unlock()
		return true
	})
	t.Logf("%s before they are due", time.Until(due))
	require.True(t, time.Now().Before(due), "the test took too long to get here")

	// Kill at the moment.
	eventually.True(t, func() bool { return receiver.has(ids[len(ids)/3:]...) > 5 })
	p.stop(syscall.SIGKILL)
	p.start()
	wanted := func(id string) bool { return changed[id] != "cancelled" && changed[id] != "perhaps cancelled" }
	eventually.True(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			if wanted(id) && got[id] == 0 {
				return false
			}
		}
		return true
	}, "some of what was accepted never came")
	repeated := 0
	for _, id := range ids {
		answer := map[string]any{}
		eventually.True(t, func() bool {
			_, answer = p.call(http.MethodGet, "/v1/schedules/"+id, nil)
			return answer["state"] == "delivered" || answer["state"] == "cancelled"
		}, "%v", &answer)
		mu.Lock()
		times, before := got[id], early[id]
		mu.Unlock()
		if times > 1 {
			repeated++
		}
		what := changed[id]
		require.Equal(t, times == 0, answer["state"] == "cancelled", "%s, came %d times: %v", what, times, answer)
		require.False(t, what == "cancelled" && times > 0, "%s was cancelled, and came", id)
		require.False(t, before && !strings.Contains(what, "fired"), "%s (%s) came early", id, what)
	}
	t.Logf("%d of %d shared executions, %d came twice", shared, len(ids), repeated)
	require.LessOrEqual(t, repeated, 200, "what comes twice is bounded by the groups under way")
}
