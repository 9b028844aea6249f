package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/apiserver"
)

// logged is a log that a test reads.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func newLog() *logged { return &logged{} }

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(line)
}

func (l *logged) into(c *apiserver.Config) {
	c.Log = slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// line is the only line of the log.
func (l *logged) line(t *testing.T) map[string]any {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, 1, bytes.Count(l.text.Bytes(), []byte("\n")), l.text.String())
	var line map[string]any
	require.NoError(t, json.Unmarshal(l.text.Bytes(), &line))
	return line
}

func TestObserve_OneLineForARequestThatTellsNoSecret(t *testing.T) {
	t.Parallel()
	log := newLog()
	a := newAPI(t, log.into)
	a.create(message{"id": "an-id", "entity": "an-entity", "data": "some-data", "to": "https://b.example/a-path", "delay": "1h"})
	line := log.line(t)
	require.Equal(t, "INFO", line["level"])
	require.Equal(t, "POST", line["method"])
	require.Equal(t, "/v1/schedules", line["route"])
	require.InDelta(t, http.StatusCreated, line["status"], 0)
	require.Equal(t, a.tenant, line["tenant"])
	for _, secret := range []string{adminKey, "an-id", "an-entity", "some-data", "a-path"} {
		require.NotContains(t, log.text.String(), secret)
	}
}

func TestObserve_ProbesAreLoggedForDebuggingOnly(t *testing.T) {
	t.Parallel()
	log := newLog()
	a := newAPI(t, log.into)
	a.do(http.MethodGet, "/healthz", "").is(http.StatusOK)
	require.Equal(t, "DEBUG", log.line(t)["level"])
}

func TestObserve_CallersThatHaveGoneAreNoFailures(t *testing.T) {
	t.Parallel()
	log := newLog()
	a := newAPI(t, log.into)
	var leave context.CancelFunc
	a.ctx, leave = context.WithCancel(t.Context())
	leave()
	require.Zero(t, a.do(http.MethodGet, "/v1/schedules/x", "").Body.Len())
	line := log.line(t)
	require.Equal(t, "INFO", line["level"])
	require.InDelta(t, 499, line["status"], 0)
}

func TestObserve_RequestIDs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	id := func(given string) string {
		return a.do(http.MethodGet, "/healthz", "", "X-Request-Id", given).Header().Get("X-Request-Id")
	}
	for _, sane := range []string{"r1", "0197a1c5-6a66-7c1e", "a.b_c:d/e+f=@", strings.Repeat("a", 128)} {
		require.Equal(t, sane, id(sane))
	}
	for _, other := range []string{"", "a b", "a\tb", "ä", `"`, "<a>", strings.Repeat("a", 129)} {
		require.Regexp(t, "^[0-9a-f]{32}$", id(other))
	}
	first, second := id(""), id("")
	require.NotEqual(t, first, second)
}

func TestService_Health(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *apiserver.Config) {
		c.Metrics = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "up 1\n") })
	})
	require.JSONEq(t, `{"status":"ok","version":"v1.2.3"}`, a.do(http.MethodGet, "/healthz", "").is(http.StatusOK).Body.String())
	require.JSONEq(t, `{"status":"ready","version":"v1.2.3"}`, a.do(http.MethodGet, "/readyz", "").is(http.StatusOK).Body.String())
	require.Equal(t, "up 1\n", a.do(http.MethodGet, "/metrics", "").is(http.StatusOK).Body.String())
	newAPI(t).do(http.MethodGet, "/metrics", "").is(http.StatusNotFound)
}

func TestNew_NeedsWhatItNeeds(t *testing.T) {
	t.Parallel()
	for name, take := range map[string]func(*apiserver.Config){
		"a ledger": func(c *apiserver.Config) { c.Deliveries = nil },
		"tenants":  func(c *apiserver.Config) { c.Tenants = nil },
		"a key":    func(c *apiserver.Config) { c.AdminKeys = nil },
	} {
		conf := config(temporal)
		take(&conf)
		_, err := apiserver.New(conf)
		require.Error(t, err, name)
	}
}
