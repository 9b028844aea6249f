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

// counter is a receiver with a gate: while it is shut, whoever comes is kept
// waiting. It notes how many are there at once, and the order of those accepted.
type counter struct {
	*httptest.Server

	mu        sync.Mutex
	status    int
	gate      chan struct{} // closed: open
	now, most int
	tries     int
	order     []string // messages in the order in which they came first
	accepted  map[string]int
}

func newCounter(t *testing.T) *counter {
	t.Helper()
	c := &counter{status: http.StatusNoContent, gate: make(chan struct{}), accepted: map[string]int{}}
	close(c.gate)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c.mu.Lock()
		c.tries++
		c.now++
		c.most = max(c.most, c.now)
		gate := c.gate
		c.mu.Unlock()

		gone := false
		select {
		case <-gate:
		case <-r.Context().Done(): // of a process that was killed
			gone = true
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.now--
		if id := r.Header.Get("Webhook-Id"); !gone && c.status < http.StatusMultipleChoices {
			c.accepted[id]++
			if c.accepted[id] == 1 {
				c.order = append(c.order, id)
			}
		}
		w.WriteHeader(c.status)
	}))
	t.Cleanup(func() {
		c.open()
		c.Close()
	})
	return c
}

// shut keeps all who come from now on waiting, until open.
func (c *counter) shut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gate = make(chan struct{})
}

func (c *counter) open() {
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.gate:
	default:
		close(c.gate)
	}
}

func (c *counter) answer(status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.status = status
}

// has tells how many of these messages were accepted.
func (c *counter) has(ids ...string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	count := 0
	for _, id := range ids {
		if c.accepted[id] > 0 {
			count++
		}
	}
	return count
}

func (c *counter) seen() (now, most, tries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now, c.most, c.tries
}

// paced makes an endpoint with further settings.
func (p *program) paced(url string, settings map[string]any) string {
	p.t.Helper()
	body := map[string]any{"url": url, "event_types": []string{"*"}, "timeout": "25s", "retry": map[string]any{"schedule": []string{"1s", "1s", "2s", "2s", "3s", "5s", "5s"}}}
	maps.Copy(body, settings)
	status, answer := p.call(http.MethodPost, "/v1/endpoints", body)
	require.Equal(p.t, http.StatusCreated, status, answer)
	return answer["id"].(string)
}

// batch publishes n events of a type that have no ids of their own, and answers
// those that they were given.
func (p *program) batch(n int, kind string) []string {
	p.t.Helper()
	var ids []string
	for len(ids) < n {
		var events []map[string]any
		for range min(100, n-len(ids)) {
			events = append(events, map[string]any{"type": kind, "entity": fmt.Sprintf("customer_%d", len(ids)+len(events))})
		}
		status, answer := p.call(http.MethodPost, "/v1/events/batch", map[string]any{"events": events})
		require.Equal(p.t, http.StatusAccepted, status, answer)
		for _, row := range answer["data"].([]any) {
			ids = append(ids, row.(map[string]any)["id"].(string))
		}
	}
	return ids
}

// health is awaited until it is as it should be.
func (p *program) health(endpoint string, should func(map[string]any) bool) map[string]any {
	p.t.Helper()
	var last map[string]any
	eventually.True(p.t, func() bool {
		var status int
		status, last = p.call(http.MethodGet, "/v1/endpoints/"+endpoint+"/health", nil)
		return status == http.StatusOK && should(last)
	}, "%v", &last)
	return last
}

// state awaits that a delivery has it, and answers the delivery.
func (p *program) state(id, state string) map[string]any {
	p.t.Helper()
	var last map[string]any
	eventually.True(p.t, func() bool {
		_, last = p.call(http.MethodGet, "/v1/deliveries/"+id, nil)
		return last["state"] == state
	}, "%s: %v", id, &last)
	return last
}

func number(v any) int {
	n, _ := v.(float64)
	return int(n)
}

// TestASlowEndpointKeepsItsOwnWaitingAndNobodyElse: it is never sent more than
// it may, whoever waits is seen to, in order, and another endpoint feels nothing.
func TestASlowEndpointKeepsItsOwnWaitingAndNobodyElse(t *testing.T) {
	t.Parallel()
	const inFlight, events = 3, 120
	slow, other := newCounter(t), newCounter(t)
	p := newDevProcess(t)
	id := p.paced(slow.URL, map[string]any{"max_in_flight": inFlight, "event_types": []string{"crm.*"}})
	p.paced(other.URL, map[string]any{"event_types": []string{"fast.*"}})

	slow.shut()
	var ids []string
	for range 4 { // one after another, so that there is an order
		ids = append(ids, p.batch(events/4, "crm.changed")...)
		p.health(id, func(h map[string]any) bool { return number(h["waiting"])+number(h["in_flight"]) >= len(ids) })
	}
	eventually.True(t, func() bool { now, _, _ := slow.seen(); return now == inFlight }, "it begins")
	status, answer := p.call(http.MethodPost, "/v1/schedules", map[string]any{
		"id": "with-its-own", "type": "t", "delay": "0s", "to": map[string]any{"endpoint": id},
	})
	require.Equal(t, http.StatusCreated, status, answer)
	status, answer = p.call(http.MethodPost, "/v1/events", map[string]any{"id": "named", "type": "crm.changed"})
	require.Equal(t, http.StatusAccepted, status, answer)

	health := p.health(id, func(h map[string]any) bool { return number(h["waiting"]) >= events+2-inFlight })
	require.Equal(t, "closed", health["breaker"])
	require.NotEmpty(t, health["oldest_waiting"])
	require.Equal(t, inFlight, number(health["limit"].(map[string]any)["in_flight"]))
	for _, waits := range []string{ids[events-1] + "." + id, "with-its-own", "named." + id} {
		delivery := p.state(waits, "waiting")
		turn, reported := delivery["queue"].(map[string]any)
		require.True(t, reported, "%v", delivery)
		require.LessOrEqual(t, number(turn["ahead"]), events+2, "%v", turn)
	}
	fast := p.batch(50, "fast.one")
	eventually.True(t, func() bool { return other.has(fast...) == 50 })

	slow.open()
	all := append([]string{"with-its-own", "named"}, ids...)
	eventually.True(t, func() bool { return slow.has(all...) == len(all) }, "some never came")
	_, most, tries := slow.seen()
	require.LessOrEqual(t, most, inFlight)
	require.Equal(t, len(all), tries, "each is tried once")
	place := map[string]int{}
	for at, id := range slow.order {
		place[id] = at
	}
	for i, id := range ids {
		// Two lines are called at a time: who is in one may pass those in the other.
		require.InDelta(t, i, place[id], events/2+inFlight, "%s came out of order", id)
	}
	p.health(id, func(h map[string]any) bool { return number(h["waiting"]) == 0 && number(h["in_flight"]) == 0 })
	for _, done := range []string{ids[events-1] + "." + id, "with-its-own", "named." + id} {
		p.state(done, "delivered")
	}
}

// TestAKillLosesNobodyWhoWaits in line: neither those who travel in it nor those
// who have executions of their own. What was in flight counts until its lease ends.
func TestAKillLosesNobodyWhoWaits(t *testing.T) {
	t.Parallel()
	const inFlight = 10
	slow := newCounter(t)
	p := newDevProcess(t)
	id := p.paced(slow.URL, map[string]any{"max_in_flight": inFlight, "timeout": "5s"})
	slow.shut()
	all := p.batch(300, "crm.changed")
	for i := range 10 {
		all = append(all, fmt.Sprintf("own-%d", i))
		status, answer := p.call(http.MethodPost, "/v1/schedules", map[string]any{
			"id": all[len(all)-1], "type": "t", "delay": "0s", "to": map[string]any{"endpoint": id},
		})
		require.Equal(t, http.StatusCreated, status, answer)
	}
	p.health(id, func(h map[string]any) bool { return number(h["waiting"]) >= len(all)-2*inFlight })
	p.stop(syscall.SIGKILL)
	p.start()
	slow.open()
	eventually.True(t, func() bool { return slow.has(all...) == len(all) }, "some never came")
	_, most, _ := slow.seen()
	require.LessOrEqual(t, most, inFlight)
}

// TestABreakerOpensAndClosesAgain: an endpoint in trouble is left alone, and gets
// all that was meant for it afterwards.
func TestABreakerOpensAndClosesAgain(t *testing.T) {
	t.Parallel()
	const events = 100
	sick := newCounter(t)
	sick.answer(http.StatusServiceUnavailable)
	p := newDevProcess(t)
	id := p.paced(sick.URL, nil)
	ids := p.batch(20, "crm.changed")
	p.health(id, func(h map[string]any) bool { return h["breaker"] == "open" })
	_, _, before := sick.seen()
	ids = append(ids, p.batch(events-20, "crm.changed")...)
	health := p.health(id, func(h map[string]any) bool { return number(h["waiting"]) >= events-20 })
	require.NotEmpty(t, health["reason"])
	_, _, tries := sick.seen()
	require.LessOrEqual(t, tries, before+5, "only probes")

	sick.answer(http.StatusNoContent)
	eventually.True(t, func() bool { return sick.has(ids...) == events }, "some never came")
	p.health(id, func(h map[string]any) bool { return h["breaker"] == "closed" && number(h["waiting"]) == 0 })
}

// TestWhoWaitsCanBeHeldAndCancelled by those who operate the endpoint.
func TestWhoWaitsCanBeHeldAndCancelled(t *testing.T) {
	t.Parallel()
	const inFlight, events = 2, 60
	slow := newCounter(t)
	p := newDevProcess(t)
	id := p.paced(slow.URL, map[string]any{"max_in_flight": inFlight})
	slow.shut()
	ids := p.batch(events, "crm.changed")
	eventually.True(t, func() bool { now, _, _ := slow.seen(); return now == inFlight }, "it begins")

	status, answer := p.call(http.MethodPost, "/v1/endpoints/"+id+"/pause", nil)
	require.Equal(t, http.StatusOK, status, answer)
	p.health(id, func(h map[string]any) bool { return h["state"] == "paused" })
	slow.open()
	eventually.True(t, func() bool { return slow.has(ids...) == inFlight }, "what was under way is done")
	slow.shut()
	status, answer = p.call(http.MethodPost, "/v1/endpoints/"+id+"/resume", nil)
	require.Equal(t, http.StatusOK, status, answer)
	eventually.True(t, func() bool { now, _, _ := slow.seen(); return now == inFlight }, "it goes on")

	status, answer = p.call(http.MethodPost, "/v1/deliveries/cancel", map[string]any{"endpoint": id, "state": "waiting"})
	require.Equal(t, http.StatusAccepted, status, answer)
	p.state(ids[events-1]+"."+id, "cancelled")
	p.health(id, func(h map[string]any) bool { return number(h["waiting"]) == 0 })
	slow.open()
	for _, event := range ids {
		delivery := event + "." + id
		eventually.True(t, func() bool {
			_, answer := p.call(http.MethodGet, "/v1/deliveries/"+delivery, nil)
			return answer["state"] == "cancelled" || answer["state"] == "delivered"
		}, delivery)
	}
	_, most, tries := slow.seen()
	require.LessOrEqual(t, most, inFlight)
	require.LessOrEqual(t, tries, 2*inFlight+inFlight, "those that were cancelled were not sent")
}
