package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/deliveries"
)

var update = flag.Bool("update", false, "write the golden files")

// Goldens: testdata/problems holds the body of each.
func TestProblems(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *apiserver.Config) {
		c.CheckURL = func(_ string, u *url.URL) error {
			if u.Hostname() == "10.0.0.1" {
				return errors.New("10.0.0.1 is a private address")
			}
			return nil
		}
	})
	a.create(message{"id": "taken", "delay": "1h"})
	reader := "Bearer " + a.key(postdate.Read).Key
	a.register(nil, "Idempotency-Key", "taken")
	post := func(body string) func() answer {
		return func() answer {
			return a.do(http.MethodPost, "/v1/schedules", body, "Content-Type", "application/json", "X-Request-Id", "r1")
		}
	}
	ask := func(method, path string, headers ...string) func() answer {
		return func() answer { return a.do(method, path, "", append([]string{"X-Request-Id", "r1"}, headers...)...) }
	}
	const to = `"to":{"url":"https://b.example"}`
	for name, call := range map[string]func() answer{
		"400-no-body":           post(""),
		"400-syntax":            post("{\n  \"type\": \"t\",\n  \"to\" {}\n}"),
		"400-cut-off":           post(`{"type":"t"`),
		"400-two-values":        post(`{} {}`),
		"400-not-utf8":          post("{\"type\":\"\xff\"}"),
		"401-no-key":            ask(http.MethodGet, "/v1/schedules", "Authorization", ""),
		"401-wrong-key":         ask(http.MethodGet, "/v1/schedules", "Authorization", "Bearer x"),
		"401-unknown-key":       ask(http.MethodGet, "/v1/schedules", "Authorization", "Bearer pdk_nobody_"+strings.Repeat("A", 26)),
		"403-scope":             ask(http.MethodGet, "/v1/keys", "Authorization", reader),
		"403-tenant":            ask(http.MethodGet, "/v1/schedules", "Authorization", reader, "Postdate-Tenant", "another"),
		"404-endpoint":          ask(http.MethodGet, "/v1/endpoints/ep_x"),
		"404-id":                ask(http.MethodGet, "/v1/schedules/nothing"),
		"404-path":              ask(http.MethodGet, "/v1/nothing"),
		"404-path-that-goes-on": ask(http.MethodGet, "/v1/schedules/"),
		"405-method":            ask(http.MethodPut, "/v1/schedules"),
		"409-taken":             post(message{"id": "taken", "delay": "2h"}.String()),
		"409-taken-key": func() answer {
			return a.do(http.MethodPost, "/v1/endpoints", registration{"mode": "cloudevents_binary"}.String(),
				"Idempotency-Key", "taken", "X-Request-Id", "r1")
		},
		"413-too-large": post(`{"type":"` + strings.Repeat("t", 256<<10) + `"}`),
		"415-no-json":   ask(http.MethodPost, "/v1/schedules", "Content-Type", "text/plain"),
		"415-cloudevent-of-xml": func() answer {
			return a.do(http.MethodPost, "/v1/events", `<a/>`, "Content-Type", "application/xml", "Ce-Id", "e", "X-Request-Id", "r1")
		},
		"422-cloudevent": func() answer {
			return a.do(http.MethodPost, "/v1/events", `{"id":"e"}`, "Content-Type", asCloudEvent, "X-Request-Id", "r1")
		},
		"422-array":               post(`[]`),
		"422-many":                post(`{"idd":"x","to":{"uri":"https://b.example"},"retry":{"factor":0.5,"schedule":["5s","soon"]},"timeout":5}`),
		"422-missing":             post(`{` + to + `}`),
		"422-null":                post(`{"type":null,` + to + `}`),
		"422-empty":               post(`{"type":"",` + to + `}`),
		"422-long":                post(`{"type":"` + strings.Repeat("t", 129) + `",` + to + `}`),
		"422-control-characters":  post(`{"type":"a\nb",` + to + `}`),
		"422-id":                  post(`{"id":"a/b","type":"t",` + to + `}`),
		"422-id-of-path":          ask(http.MethodGet, "/v1/schedules/a%2Fb"),
		"422-due-and-delay":       post(`{"type":"t","due_at":"2027-01-01T00:00:00Z","delay":"1h",` + to + `}`),
		"422-time":                post(`{"type":"t","due_at":"2027-02-30T00:00:00Z",` + to + `}`),
		"422-time-of-five-digits": post(`{"type":"t","expires_at":"9999-12-31T23:59:59-01:00",` + to + `}`),
		"422-duration":            post(`{"type":"t","delay":"P1M",` + to + `}`),
		"422-too-far":             post(`{"type":"t","delay":"876601h",` + to + `}`),
		"422-timeout":             post(`{"type":"t","timeout":"2m",` + to + `}`),
		"422-empty-retry":         post(`{"type":"t","retry":{"schedule":[]},` + to + `}`),
		"422-http":                post(`{"type":"t","to":{"url":"http://b.example"}}`),
		"422-user-in-url":         post(`{"type":"t","to":{"url":"https://user:secret@b.example"}}`),
		"422-private-address":     post(`{"type":"t","to":{"url":"https://10.0.0.1/x"}}`),
		"422-filter":              ask(http.MethodGet, "/v1/schedules?state=asleep"),
		"422-filter-unknown":      ask(http.MethodGet, "/v1/schedules?stat=dead"),
		"422-cursor":              ask(http.MethodGet, "/v1/schedules?cursor=x"),
		"422-tenant":              ask(http.MethodGet, "/v1/schedules", "Postdate-Tenant", "a/b"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := call()
			require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
			require.Equal(t, name[:3], strconv.Itoa(w.Code), w.Body.String())
			var body bytes.Buffer
			require.NoError(t, json.Indent(&body, w.Body.Bytes(), "", "  "))
			golden := filepath.Join("testdata", "problems", name+".json")
			if *update {
				require.NoError(t, os.WriteFile(golden, body.Bytes(), 0o600))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), body.String())
		})
	}
}

func TestProblems_AllowSaysWhatIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	w := a.do(http.MethodPut, "/v1/schedules", "")
	w.problem(http.StatusMethodNotAllowed, "method_not_allowed")
	require.Contains(t, w.Header().Get("Allow"), "GET")
	require.Contains(t, w.Header().Get("Allow"), "POST")
}

// What nobody foresaw is for the log, not for the caller.
func TestProblems_UnforeseenErrorsAreLoggedWholeAndAnsweredBare(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func(context.Context) (bool, error){
		"an error": func(context.Context) (bool, error) { return false, errors.New("the vault is on fire") },
		"an unknown code": func(context.Context) (bool, error) {
			return false, postdate.Errorf("on_fire", "", "the vault is on fire")
		},
		"a panic": func(context.Context) (bool, error) { panic("the vault is on fire") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			logged := newLog()
			a := newAPI(t, logged.into, polling(fail))
			w := a.do(http.MethodDelete, "/v1/schedules/x", "", "X-Request-Id", "r1")
			p := w.problem(http.StatusInternalServerError, "internal")
			require.Equal(t, "r1", p.RequestID)
			require.Empty(t, p.Detail)
			require.NotContains(t, w.Body.String(), "vault")
			line := logged.line(t)
			require.Equal(t, "ERROR", line["level"])
			require.Equal(t, "r1", line["request_id"])
			require.Contains(t, line["error"], "the vault is on fire")
		})
	}
}

// polling has the API learn of workers from ask.
func polling(ask func(context.Context) (bool, error)) func(*apiserver.Config) {
	return func(c *apiserver.Config) {
		c.Deliveries = newDeliveries(temporal, configured, func(d *deliveries.Config) { d.WorkerPolling = ask })
	}
}

func TestProblems_OfWhatCannotBeDoneNow(t *testing.T) {
	t.Parallel()
	a := newAPI(t, polling(func(context.Context) (bool, error) {
		return false, postdate.Errorf(postdate.Unavailable, "", "not now")
	}))
	w := a.do(http.MethodDelete, "/v1/schedules/x", "")
	require.Equal(t, "not now", w.problem(http.StatusServiceUnavailable, postdate.Unavailable).Detail)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
}
