package main

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/signature"
)

// pullEndpoint makes an endpoint that is pulled from, and answers its path and its secret.
func (p *program) pullEndpoint() (path, secret string) {
	p.t.Helper()
	status, made := p.call(http.MethodPost, "/v1/endpoints", map[string]any{
		"pull": true, "event_types": []string{"t"}, "retry": map[string]any{"schedule": []string{"1s", "1s", "1s"}},
	})
	require.Equal(p.t, http.StatusCreated, status, "%v", made)
	return "/v1/endpoints/" + made["id"].(string), made["secret"].(string)
}

// publishMany publishes n events.
func (p *program) publishMany(n int) {
	p.t.Helper()
	for n > 0 {
		some := min(n, 100)
		events := make([]map[string]any, some)
		for i := range events {
			events[i] = map[string]any{"type": "t", "data": i}
		}
		status, answer := p.call(http.MethodPost, "/v1/events/batch", map[string]any{"events": events})
		require.Equal(p.t, http.StatusAccepted, status, "%v", answer)
		n -= some
	}
}

// pulledMessage is a message as a consumer gets it.
type pulledMessage struct {
	delivery, receipt string
	attempt           int
}

// tryPull pulls, and reports whether that was answered.
func (p *program) tryPull(path string, body map[string]any) (messages []pulledMessage, answered bool) {
	status, answer, answered := p.try(http.MethodPost, path+"/pull", body)
	if !answered || status != http.StatusOK {
		return nil, false
	}
	for _, one := range answer["messages"].([]any) {
		m := one.(map[string]any)
		messages = append(messages, pulledMessage{m["delivery"].(string), m["receipt"].(string), int(m["attempt"].(float64))})
	}
	return messages, true
}

// ack acknowledges messages, however often the process dies meanwhile, and counts what
// became of them.
func (p *program) ack(path string, messages []pulledMessage) map[string]int {
	receipts := make([]string, len(messages))
	for i, m := range messages {
		receipts[i] = m.receipt
	}
	for {
		status, answer, answered := p.try(http.MethodPost, path+"/ack", map[string]any{"receipts": receipts})
		if answered && status == http.StatusOK {
			results := make(map[string]int)
			for _, one := range answer["results"].([]any) {
				results[one.(map[string]any)["result"].(string)]++
			}
			return results
		}
		if p.t.Context().Err() != nil {
			return nil
		}
	}
}

func TestALeaseOutlivesAKill(t *testing.T) {
	t.Parallel()
	p := newDevProcess(t)
	path, _ := p.pullEndpoint()
	p.publishMany(6)
	var leased []pulledMessage
	for len(leased) < 3 {
		messages, answered := p.tryPull(path, map[string]any{"max": 3 - len(leased), "wait": "20s", "lease": "5m"})
		require.True(t, answered)
		leased = append(leased, messages...)
	}
	p.stop(syscall.SIGKILL)
	p.start()
	var others []pulledMessage
	for len(others) < 3 {
		messages, answered := p.tryPull(path, map[string]any{"max": 10, "wait": "20s", "lease": "5m"})
		require.True(t, answered)
		others = append(others, messages...)
	}
	for _, m := range others {
		for _, before := range leased {
			require.NotEqual(t, before.delivery, m.delivery, "it is leased")
		}
	}
	require.Equal(t, map[string]int{"acknowledged": 6}, p.ack(path, append(leased, others...)))
}

// TestConsumersGetEachMessage has consumers of which one dies with its leases, and kills
// the process in the middle: each message is acknowledged, and none comes again after that.
func TestConsumersGetEachMessage(t *testing.T) {
	t.Parallel()
	const all, consumers = 600, 3
	p := newDevProcess(t)
	path, _ := p.pullEndpoint()
	p.publishMany(all)
	var dead []pulledMessage
	for len(dead) < 10 {
		messages, answered := p.tryPull(path, map[string]any{"max": 10 - len(dead), "wait": "20s", "lease": "10s"})
		require.True(t, answered)
		dead = append(dead, messages...)
	}
	var mu sync.Mutex
	acknowledged, again := make(map[string]bool), 0
	count := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(acknowledged)
	}
	var consuming sync.WaitGroup
	for range consumers {
		consuming.Go(func() {
			for count() < all && t.Context().Err() == nil {
				messages, _ := p.tryPull(path, map[string]any{"max": 10, "wait": "500ms", "lease": "1m"})
				mu.Lock()
				for _, m := range messages {
					if acknowledged[m.delivery] {
						again++
					}
				}
				mu.Unlock()
				if len(messages) == 0 || p.ack(path, messages)["acknowledged"] < len(messages) {
					continue
				}
				mu.Lock()
				for _, m := range messages {
					acknowledged[m.delivery] = true
				}
				mu.Unlock()
			}
		})
	}
	eventually.True(t, func() bool { return count() > all/3 })
	p.stop(syscall.SIGKILL)
	p.start()
	eventually.True(t, func() bool { return count() == all })
	consuming.Wait()
	require.Zero(t, again, "what is acknowledged does not come again")
	for _, m := range dead {
		require.True(t, acknowledged[m.delivery], "what the dead one had came again")
	}
	require.Equal(t, map[string]int{"lease_ended": len(dead)}, p.ack(path, dead))
}

func TestPull_HandlesEachMessage(t *testing.T) {
	t.Parallel()
	p := newDevProcess(t)
	path, secret := p.pullEndpoint()
	endpoint := strings.TrimPrefix(path, "/v1/endpoints/")
	status, key := p.call(http.MethodPost, "/v1/keys", map[string]any{"scope": "pull", "endpoint": endpoint})
	require.Equal(t, http.StatusCreated, status, "%v", key)
	environ := []string{"POSTDATE_KEY=" + key["key"].(string), "POSTDATE_API_URL=" + p.url}

	printed(t, p, endpoint, environ)
	commanded(t, p, endpoint, environ)
	posted(t, p, endpoint, environ, secret)
	eventually.True(t, func() bool {
		_, health := p.call(http.MethodGet, path+"/health", nil)
		return fmt.Sprint(health["waiting"], health["leased"]) == "0 <nil>"
	}, "all are acknowledged")
}

// printing starts "postdate pull", and returns what it prints and how to stop it.
func printing(t *testing.T, endpoint string, environ []string, args ...string) (out *lockedBuffer, stop func()) {
	t.Helper()
	out = &lockedBuffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- run(ctx, append([]string{"pull", "--endpoint", endpoint}, args...), environ, out, out)
	}()
	return out, func() {
		cancel()
		require.NoError(t, <-ended)
	}
}

func printed(t *testing.T, p *program, endpoint string, environ []string) {
	t.Helper()
	out, stop := printing(t, endpoint, environ)
	defer stop()
	p.publishMany(2)
	eventually.True(t, func() bool { return strings.Count(out.String(), `"receipt"`) == 2 })
}

func commanded(t *testing.T, p *program, endpoint string, environ []string) {
	t.Helper()
	out, stop := printing(t, endpoint, environ, "--exec",
		`read m; case "$m" in *'"attempt":1'*) exit 3;; esac; echo "second: $m"`)
	defer stop()
	p.publishMany(1)
	eventually.True(t, func() bool { return strings.Contains(out.String(), "second: {") })
	require.Contains(t, out.String(), "the command failed: exit status 3")
}

func posted(t *testing.T, p *program, endpoint string, environ []string, secret string) {
	t.Helper()
	verifier, err := signature.ParseVerifier(secret)
	require.NoError(t, err)
	came := make(chan error, 10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, r.ContentLength)
		_, _ = r.Body.Read(body)
		came <- signature.Verify(r.Header, body, time.Now(), 0, verifier)
		w.WriteHeader(http.StatusNoContent)
	}))
	defer receiver.Close()
	out, stop := printing(t, endpoint, environ, "--to", receiver.URL+"/hooks", "--secret", secret)
	defer stop()
	p.publishMany(1)
	require.NoError(t, <-came)
	eventually.True(t, func() bool { return strings.Contains(out.String(), "HTTP 204") })
}

func TestPull_SaysWhatIsWrong(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ args, says string }{
		{"--endpoint ep_1 --exec true --to http://127.0.0.1:1/", "--exec and --to exclude each other"},
		{"--endpoint ep_1 --to http://127.0.0.1:1/", "--secret: the endpoint's secret is needed"},
		{"--endpoint ep_1 --secret x", "it needs --to"},
		{"--endpoint ep_1 --parallel 0", "--parallel 0: from 1 to 100"},
		{"--endpoint ep_1 --lease 1s", "--lease 1s: from 2s to 12h"},
		{"--exec true", `required flag(s) "endpoint" not set`},
	} {
		var out lockedBuffer
		err := run(t.Context(), append([]string{"pull"}, strings.Fields(test.args)...), []string{"POSTDATE_KEY=k"}, &out, &out)
		require.ErrorContains(t, err, test.says)
	}
}
