package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
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

const inboundSecret = "what GitHub and we know"

// githubSignature is how GitHub signs a body.
func githubSignature(body string) string {
	mac := hmac.New(sha256.New, []byte(inboundSecret))
	mac.Write([]byte(body))
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// githubInbox is a receiver that verifies GitHub's signature and ours, and counts what
// arrives by GitHub's id, with the ids that we gave it.
type githubInbox struct {
	*httptest.Server

	mu  sync.Mutex
	got map[string]map[string]bool
}

func newGithubInbox(t *testing.T) *githubInbox {
	t.Helper()
	ours, err := signature.ParseSecret(testSecret)
	require.NoError(t, err)
	in := &githubInbox{got: make(map[string]map[string]bool)}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if signature.Verify(r.Header, body, time.Now(), 0, ours) != nil || r.Header.Get("X-Hub-Signature-256") != githubSignature(string(body)) {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		in.mu.Lock()
		defer in.mu.Unlock()
		delivery := r.Header.Get("X-GitHub-Delivery")
		if in.got[delivery] == nil {
			in.got[delivery] = make(map[string]bool)
		}
		in.got[delivery][r.Header.Get(signature.HeaderID)] = true
	}))
	t.Cleanup(in.Close)
	return in
}

func (in *githubInbox) count() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.got)
}

// hook sends a webhook as GitHub does. status is 0 where nothing answered.
func (p *program) hook(path, delivery, body string) (status int) {
	request, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.url+path, strings.NewReader(body))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-GitHub-Event", "push")
	request.Header.Set("X-GitHub-Delivery", delivery)
	request.Header.Set("X-Hub-Signature-256", githubSignature(body))
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return 0
	}
	return response.StatusCode
}

// hookUntilTaken sends a webhook until it is answered 2xx, or the test ends.
func (p *program) hookUntilTaken(path, delivery, body string) {
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	for {
		if status := p.hook(path, delivery, body); status == http.StatusAccepted || status == http.StatusOK {
			return
		}
		select {
		case <-again.C:
		case <-p.t.Context().Done():
			return
		}
	}
}

func (p *program) source(to map[string]any) (id, path string) {
	p.t.Helper()
	status, answer := p.call(http.MethodPost, "/v1/sources", map[string]any{
		"name": "github", "verify": map[string]any{"preset": "github", "secrets": []string{inboundSecret}}, "to": to,
	})
	require.Equal(p.t, http.StatusCreated, status, answer)
	return answer["id"].(string), answer["path"].(string)
}

// TestSources_AKillLosesNothing has a sender send its webhooks, each twice at once, and
// again until it reads 2xx, while the process is killed.
func TestSources_AKillLosesNothing(t *testing.T) {
	t.Parallel()
	in := newGithubInbox(t)
	p := newDevProcess(t, "POSTDATE_TENANT_RATE_LIMIT=0")
	_, path := p.source(map[string]any{"url": in.URL})
	const hooks, senders = 300, 4
	var sending sync.WaitGroup
	next := make(chan int)
	for range senders {
		sending.Go(func() {
			for n := range next {
				delivery, body := fmt.Sprintf("d-%d", n), fmt.Sprintf(`{"n": %d }`, n)
				var copies sync.WaitGroup
				for range 2 {
					copies.Go(func() { p.hookUntilTaken(path, delivery, body) })
				}
				copies.Wait()
			}
		})
	}
	for n := range hooks {
		next <- n
		if n == hooks/3 || n == 2*hooks/3 {
			p.stop(syscall.SIGKILL)
			p.start()
		}
	}
	close(next)
	sending.Wait()
	eventually.True(t, func() bool { return in.count() == hooks })
	in.mu.Lock()
	defer in.mu.Unlock()
	for delivery, ids := range in.got {
		require.Len(t, ids, 1, "%s came as one message", delivery)
	}
}

// TestSources_KeepTheirURLsOverARestart rotates one, with an overlap.
func TestSources_KeepTheirURLsOverARestart(t *testing.T) {
	t.Parallel()
	in := newGithubInbox(t)
	p := newDevProcess(t)
	id, first := p.source(map[string]any{"url": in.URL})
	rotate := func(overlap string) string {
		status, answer := p.call(http.MethodPost, "/v1/sources/"+id+"/rotate_token", map[string]any{"overlap": overlap})
		require.Equal(t, http.StatusOK, status, answer)
		return answer["path"].(string)
	}
	second := rotate("1h")
	p.stop(syscall.SIGKILL)
	p.start()
	for _, path := range []string{first, second} {
		status := p.hook(path, "of "+path, "{}")
		require.Equal(t, http.StatusAccepted, status)
	}
	third := rotate("0s")
	for path, want := range map[string]int{first: http.StatusNotFound, second: http.StatusNotFound, third: http.StatusAccepted} {
		status := p.hook(path, "again of "+path, "{}")
		require.Equal(t, want, status)
	}
	eventually.True(t, func() bool { return in.count() == 3 })
	p.stop(syscall.SIGTERM)
	for _, secret := range []string{inboundSecret, strings.TrimPrefix(first, "/in/"), strings.TrimPrefix(third, "/in/")} {
		require.NotContains(t, p.log.String(), secret)
		requireSealed(t, p.data(), secret)
	}
}
