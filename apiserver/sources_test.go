package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/inbound"
)

const inboundSecret = "It's a secret to everybody"

// source registers a source.
func (a *api) source(body map[string]any) apiserver.SourceWithPath {
	a.t.Helper()
	text, err := json.Marshal(body)
	require.NoError(a.t, err)
	var made apiserver.SourceWithPath
	a.do(http.MethodPost, "/v1/sources", string(text)).is(http.StatusCreated).decode(&made)
	return made
}

func github(to any) map[string]any {
	body := map[string]any{"name": "github", "verify": map[string]any{"preset": "github", "secrets": []string{inboundSecret}}}
	if to != nil {
		body["to"] = to
	}
	return body
}

// send sends to a path as a stranger: without a key.
func (a *api) send(method, path, body string, headers ...string) answer {
	a.t.Helper()
	return a.do(method, path, body, append([]string{"Authorization", "", "Postdate-Tenant", ""}, headers...)...)
}

// signed are the headers of GitHub.
func signed(body, delivery string) []string {
	mac := hmac.New(sha256.New, []byte(inboundSecret))
	mac.Write([]byte(body))
	return []string{"X-Hub-Signature-256", "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-GitHub-Event", "push", "X-GitHub-Delivery", delivery}
}

func (w answer) taken() apiserver.Taken {
	w.t.Helper()
	var made apiserver.Taken
	w.decode(&made)
	return made
}

// collected is a receiver that keeps what it gets.
func collected() (to string, got chan postdate.Message) {
	got = make(chan postdate.Message, 100)
	return receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		got <- m
		return attempt(http.StatusNoContent), nil
	}), got
}

func TestSources_PassOnWhatTheirSenderSigned(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	source := a.source(github(map[string]any{"url": to}))
	body := "{ \"ref\":\"refs/heads/main\",\n \"ref\": 1e400 }\n\x00\xff"
	headers := append(signed(body, "d-1"), "Cookie", "session=1", "X-Forwarded-For", "10.0.0.1", "Authorization", "Basic Zm9v", "Postdate-Path", "/forged")
	taken := a.send(http.MethodPut, source.Path+"/orders%2F1/x?shop=1&b=%zz", body, headers...).is(http.StatusAccepted).taken()
	require.False(t, taken.Duplicate)
	m := <-got
	require.Equal(t, taken.ID, m.ID)
	require.Equal(t, body, string(m.Data), "byte for byte")
	require.Equal(t, "github.push", m.Type)
	require.Equal(t, "PUT", m.Inbound.Method)
	require.Equal(t, "/orders%2F1/x", m.Inbound.Path)
	require.Equal(t, "shop=1&b=%zz", m.Inbound.Query)
	require.Equal(t, "application/json", m.Inbound.ContentType)
	kept := map[string]string{}
	for _, header := range m.Inbound.Headers {
		kept[header.Name] = header.Value.Reveal()
	}
	require.Equal(t, map[string]string{
		"X-Hub-Signature-256": signed(body, "d-1")[1], "X-Github-Event": "push", "X-Github-Delivery": "d-1",
	}, kept)

	delivery := a.ended(taken.ID)
	require.Equal(t, postdate.Delivered, delivery.State)
	require.Equal(t, source.ID, delivery.Inbound.Source)
	require.NotEmpty(t, delivery.DataBase64, "no decoder takes it")
}

func TestSources_TakeACopyOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	endpoint := a.register(map[string]any{"url": to, "event_types": []string{"nothing"}})
	for name, destination := range map[string]any{
		"a url": map[string]any{"url": to}, "an endpoint": map[string]any{"endpoint": endpoint.ID},
	} {
		source := a.source(github(destination))
		statuses := make(chan int, 20)
		var sending sync.WaitGroup
		for n := range cap(statuses) {
			sending.Go(func() {
				body := strings.Repeat(" ", n) + "{}" // a copy may differ
				statuses <- a.send(http.MethodPost, source.Path, body, signed(body, "same")...).Code
			})
		}
		sending.Wait()
		close(statuses)
		count := map[int]int{}
		for status := range statuses {
			count[status]++
		}
		require.Equal(t, map[int]int{http.StatusAccepted: 1, http.StatusOK: 19}, count, name)
		<-got
		again := a.send(http.MethodPost, source.Path, "{}", signed("{}", "same")...).is(http.StatusOK).taken()
		require.True(t, again.Duplicate)
		other := a.send(http.MethodPost, source.Path, "{}", signed("{}", "other")...).is(http.StatusAccepted).taken()
		require.NotEqual(t, again.ID, other.ID)
		require.Equal(t, other.ID, (<-got).ID, name)
	}
	require.Empty(t, got)
}

func TestSources_PublishToWhoeverSubscribed(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	a.register(map[string]any{"url": to, "event_types": []string{"github.*"}})
	source := a.source(github(nil))
	named := a.send(http.MethodPost, source.Path, "{}", signed("{}", "d")...).is(http.StatusAccepted).taken()
	require.Equal(t, named.ID, (<-got).ID)
	a.send(http.MethodPost, source.Path, "{}", signed("{}", "d")...).is(http.StatusOK)
	unnamed := a.send(http.MethodPost, source.Path, "{}", signed("{}", "")...).is(http.StatusAccepted).taken()
	require.Equal(t, unnamed.ID, (<-got).ID)
	var event apiserver.EventStatus
	a.do(http.MethodGet, "/v1/events/"+unnamed.ID, "").is(http.StatusOK).decode(&event)
	require.Equal(t, source.ID, event.Inbound.Source)
	require.JSONEq(t, "{}", string(event.Data))
}

func TestSources_RefuseWhole(t *testing.T) { //nolint:tparallel // see below
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	source := a.source(github(map[string]any{"url": to}))
	bomb := packed(strings.Repeat("0", postdate.MaxInboundBody+1))
	require.Less(t, len(bomb), 4<<10)
	large := strings.Repeat("x", postdate.MaxInboundBody+1)
	for name, test := range map[string]struct { //nolint:paralleltest // what all of them leave behind is looked at below
		method, body string
		headers      []string
		status       int
		code         postdate.Code
	}{
		"no signature":      {http.MethodPost, "{}", nil, http.StatusUnauthorized, postdate.Unauthorized},
		"another body":      {http.MethodPost, "{ }", signed("{}", "x"), http.StatusUnauthorized, postdate.Unauthorized},
		"a body too large":  {http.MethodPost, large, signed(large, "x"), http.StatusRequestEntityTooLarge, "too_large"},
		"a gzip bomb":       {http.MethodPost, bomb, append(signed(bomb, "x"), "Content-Encoding", "gzip"), http.StatusRequestEntityTooLarge, "too_large"},
		"gzip that is none": {http.MethodPost, "{}", append(signed("{}", "x"), "Content-Encoding", "gzip"), http.StatusBadRequest, "malformed"},
		"another coding":    {http.MethodPost, "{}", append(signed("{}", "x"), "Content-Encoding", "br"), http.StatusUnsupportedMediaType, "unsupported_media_type"},
		"another method":    {http.MethodGet, "", signed("", "x"), http.StatusMethodNotAllowed, "method_not_allowed"},
		"too many headers":  {http.MethodPost, "{}", append(signed("{}", "x"), "X-Long", strings.Repeat("x", 17<<10)), http.StatusUnprocessableEntity, postdate.Invalid},
		"no hex":            {http.MethodPost, "{}", append(signed("{}", "x"), "X-Hub-Signature-256", "sha256=zz"), http.StatusUnauthorized, postdate.Unauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			a := &api{t: t, ctx: t.Context(), handler: a.handler, tenant: a.tenant}
			a.send(test.method, source.Path, test.body, test.headers...).problem(test.status, test.code)
		})
	}
	require.Empty(t, got, "nothing was started")
	var rejected apiserver.RejectedList
	a.do(http.MethodGet, "/v1/sources/"+source.ID+"/rejected", "").is(http.StatusOK).decode(&rejected)
	require.Len(t, rejected.Data, 9)
	require.Equal(t, map[string]int{
		string(inbound.BadSignature): 1, string(inbound.Malformed): 2, string(inbound.NotSigned): 1,
		"too_large": 2, "unsupported_media_type": 1, "method_not_allowed": 1, "invalid": 1,
	}, rejected.Counts)
}

func packed(body string) string {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	_, _ = w.Write([]byte(body))
	_ = w.Close()
	return out.String()
}

func TestSources_PassOnPackedBodiesAsTheyAre(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	body := github(map[string]any{"url": to})
	body["type"] = map[string]any{"prefix": "hub.", "pointer": "/action"}
	source := a.source(body)
	sent := packed(`{"action":"opened"}`)
	a.send(http.MethodPost, source.Path, sent, append(signed(sent, "x"), "Content-Encoding", "gzip")...).is(http.StatusAccepted)
	m := <-got
	require.Equal(t, sent, string(m.Data))
	require.True(t, m.Inbound.Packed)
	require.Equal(t, "hub.opened", m.Type)
}

func TestSources_AreFoundByTheirTokensAlone(t *testing.T) {
	t.Parallel()
	clock := newClock()
	a := newAPI(t, clock.into)
	to, _ := collected()
	source := a.source(github(map[string]any{"url": to}))
	send := func(path string) int { return a.send(http.MethodHead, path, "").Code }
	require.Equal(t, http.StatusOK, send(source.Path))
	last := source.Path[len(source.Path)-1:]
	for _, wrong := range []string{
		"/in/x", source.Path[:len(source.Path)-1], strings.TrimSuffix(source.Path, last) + "7" + last, source.Path + "A", source.Path + "%20",
	} {
		require.Equal(t, http.StatusNotFound, send(wrong), wrong)
	}
	var rotated apiserver.RotatedToken
	a.do(http.MethodPost, "/v1/sources/"+source.ID+"/rotate_token", `{"overlap":"1h"}`).is(http.StatusOK).decode(&rotated)
	require.Equal(t, http.StatusOK, send(source.Path), "the old one is taken too")
	require.Equal(t, http.StatusOK, send(rotated.Path))
	clock.advance(2 * time.Hour)
	require.Equal(t, http.StatusNotFound, send(source.Path))
	require.Equal(t, http.StatusOK, send(rotated.Path))
	a.do(http.MethodDelete, "/v1/sources/"+source.ID, "").is(http.StatusOK)
	require.Equal(t, http.StatusNotFound, send(rotated.Path))
}

func TestSources_ShowNoSecrets(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, _ := collected()
	source := a.source(github(map[string]any{"url": to}))
	require.Contains(t, source.Warnings, "deduplicate: the header X-GitHub-Delivery is not covered by the signature")
	shown := a.do(http.MethodGet, "/v1/sources", "").is(http.StatusOK).Body.String() +
		a.do(http.MethodGet, "/v1/sources/"+source.ID, "").is(http.StatusOK).Body.String() +
		a.do(http.MethodPatch, "/v1/sources/"+source.ID, `{"name":"hub","verify":{"preset":"github"}}`).is(http.StatusOK).Body.String()
	require.NotContains(t, shown, inboundSecret)
	require.NotContains(t, shown, strings.TrimPrefix(source.Path, "/in/"))
	a.send(http.MethodPost, source.Path, "{}", signed("{}", "x")...).is(http.StatusAccepted)

	kept := a.do(http.MethodPost, "/v1/sources", `{"name":"x","verify":{"preset":"none"}}`, "Idempotency-Key", "k").is(http.StatusCreated)
	require.Contains(t, kept.Body.String(), `"path"`)
	again := a.do(http.MethodPost, "/v1/sources", `{"name":"x","verify":{"preset":"none"}}`, "Idempotency-Key", "k").is(http.StatusOK)
	require.NotContains(t, again.Body.String(), `"path"`)
	a.do(http.MethodPost, "/v1/sources", `{"name":"y","verify":{"preset":"none"}}`, "Idempotency-Key", "k").problem(http.StatusConflict, postdate.Conflict)
}

func TestSources_NameTheFieldAtFault(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for pointer, body := range map[string]string{
		"/verify":                  `{"name":"x","verify":{"secrets":["a"]}}`,
		"/verify/preset":           `{"name":"x","verify":{"preset":"gitub","secrets":["a"]}}`,
		"/verify/secrets":          `{"name":"x","verify":{"preset":"github"}}`,
		"/verify/secrets/0":        `{"name":"x","verify":{"preset":"discord","secrets":["a"]}}`,
		"/verify/header":           `{"name":"x","verify":{"preset":"api_key","secrets":["a"]}}`,
		"/verify/token":            `{"name":"x","verify":{"preset":"github","secrets":["a"],"token":"x"}}`,
		"/verify/tolerance":        `{"name":"x","verify":{"preset":"github","secrets":["a"],"tolerance":"1m"}}`,
		"/verify/scheme/signed":    `{"name":"x","verify":{"scheme":{"algorithm":"hmac_sha256","header":"x","encoding":"hex","signed":"{id}","id_header":"y"},"secrets":["a"]}}`,
		"/verify/scheme/encoding":  `{"name":"x","verify":{"scheme":{"algorithm":"hmac_sha256","header":"x"},"secrets":["a"]}}`,
		"/verify/scheme/timestamp": `{"name":"x","verify":{"scheme":{"algorithm":"hmac_sha256","header":"x","encoding":"hex","signed":"{timestamp}{body}"},"secrets":["a"]}}`,
		"/deduplicate/1":           `{"name":"x","verify":{"preset":"none"},"deduplicate":[{"body":true},{"header":"a","query":"b"}]}`,
		"/deduplicate/0/pointer":   `{"name":"x","verify":{"preset":"none"},"deduplicate":[{"pointer":"id"}]}`,
		"/type":                    `{"name":"x","verify":{"preset":"none"},"type":{"value":"a*"}}`,
		"/entity":                  `{"name":"x","verify":{"preset":"none"},"entity":{"prefix":"a"}}`,
		"/entity/value":            `{"name":"x","verify":{"preset":"none"},"entity":{"value":""}}`,
		"/entity/pointer":          `{"name":"x","verify":{"preset":"none"},"entity":{"pointer":"shop"}}`,
		"/entity/body":             `{"name":"x","verify":{"preset":"none"},"entity":{"body":true}}`,
		"/retry":                   `{"name":"x","verify":{"preset":"none"},"retry":{"max_attempts":3}}`,
		"/retry/max_attempts":      `{"name":"x","verify":{"preset":"none"},"to":{"url":"https://a.example"},"retry":{"max_attempts":5000}}`,
		"/retry/factor":            `{"name":"x","verify":{"preset":"none"},"to":{"url":"https://a.example"},"retry":{"factor":0.5}}`,
		"/timeout":                 `{"name":"x","verify":{"preset":"none"},"to":{"url":"https://a.example"},"timeout":"61s"}`,
		"/to/endpoint":             `{"name":"x","verify":{"preset":"none"},"to":{"endpoint":"ep_none"}}`,
		"/to/stream":               `{"name":"x","verify":{"preset":"none"},"to":{"stream":"none"}}`,
		"/to/url":                  `{"name":"x","verify":{"preset":"none"},"to":{"url":"ftp://x"}}`,
		"/answer/status":           `{"name":"x","verify":{"preset":"none"},"answer":{"status":500}}`,
		"/methods/0":               `{"name":"x","verify":{"preset":"none"},"methods":["TRACE"]}`,
		"/headers/0":               `{"name":"x","verify":{"preset":"none"},"headers":["a b"]}`,
		"/colour":                  `{"name":"x","verify":{"preset":"none"},"colour":1}`,
	} {
		p := a.do(http.MethodPost, "/v1/sources", body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer, "%s: %s", body, p.Detail)
	}
}

func TestSources_AnswerHandshakes(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	none := a.source(map[string]any{"name": "x", "verify": map[string]any{"preset": "none"}})
	w := a.send(http.MethodOptions, none.Path, "", "WebHook-Request-Origin", "events.example").is(http.StatusOK)
	require.Equal(t, "events.example", w.Header().Get("WebHook-Allowed-Origin"))
	require.Equal(t, "*", w.Header().Get("WebHook-Allowed-Rate"))

	asana := a.source(map[string]any{"name": "asana", "verify": map[string]any{"preset": "asana"}})
	a.send(http.MethodPost, asana.Path, "{}", "X-Hook-Signature", "00").problem(http.StatusUnauthorized, postdate.Unauthorized)
	shaken := a.send(http.MethodPost, asana.Path, "", "X-Hook-Secret", inboundSecret).is(http.StatusOK)
	require.Equal(t, inboundSecret, shaken.Header().Get("X-Hook-Secret"))
	mac := hmac.New(sha256.New, []byte(inboundSecret))
	mac.Write([]byte("{}"))
	a.send(http.MethodPost, asana.Path, "{}", "X-Hook-Signature", hex.EncodeToString(mac.Sum(nil))).is(http.StatusAccepted)
	a.send(http.MethodPost, asana.Path, "", "X-Hook-Secret", "another").problem(http.StatusUnauthorized, postdate.Unauthorized)
}

func TestSources_AnswerAsTheirSenderWants(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	source := a.source(map[string]any{
		"name": "x", "verify": map[string]any{"preset": "none"}, "to": map[string]any{"url": to}, "methods": []string{"GET"},
		"deduplicate": []any{map[string]any{"query": "id"}}, "answer": map[string]any{"status": 200, "content_type": "text/xml", "body": "<Response/>"},
	})
	for range 2 {
		w := a.send(http.MethodGet, source.Path+"?id=1", "").is(http.StatusOK)
		require.Equal(t, "<Response/>", w.Body.String())
		require.Equal(t, "text/xml", w.Header().Get("Content-Type"))
	}
	require.Empty(t, (<-got).Data)
	require.Empty(t, got)
}

func TestSources_HoldTheTenantsQuotas(t *testing.T) {
	t.Parallel()
	a := newAPI(t, newClock().into, func(c *apiserver.Config) { c.TenantRateLimit = 1 })
	to, _ := collected()
	source := a.source(github(map[string]any{"url": to}))
	for range 100 { // what nobody signed takes nothing of it
		a.send(http.MethodPost, source.Path, "{}").is(http.StatusUnauthorized)
	}
	statuses := map[int]int{}
	for n := range 20 {
		id := string(rune('a' + n))
		statuses[a.send(http.MethodPost, source.Path, "{}", signed("{}", id)...).Code]++
	}
	require.Equal(t, map[int]int{http.StatusAccepted: 2, http.StatusTooManyRequests: 18}, statuses)
	var rejected apiserver.RejectedList
	a.do(http.MethodGet, "/v1/sources/"+source.ID+"/rejected", "").is(http.StatusOK).decode(&rejected)
	require.Equal(t, 100, rejected.Counts[string(inbound.NotSigned)], "all are counted")
	require.Len(t, rejected.Data, 10, "and few are noted")
}

// What comes over a real connection: slow, longer than it said, or broken off.
func TestSources_TakeNothingThatDoesNotComeWhole(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	source := a.source(map[string]any{"name": "x", "verify": map[string]any{"preset": "none"}, "to": map[string]any{"url": to}})
	server := httptest.NewServer(a.handler)
	t.Cleanup(server.Close)
	for name, rest := range map[string]string{
		"chunks beyond the limit": "Transfer-Encoding: chunked\r\n\r\n" + strings.Repeat("20000\r\n"+strings.Repeat("x", 0x20000)+"\r\n", 9) + "0\r\n\r\n",
		"a chunk that breaks off": "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
		"a length and chunks":     "Content-Length: 4\r\nContent-Length: 5\r\n\r\nabcd",
		"a length that is short":  "Content-Length: 10\r\n\r\nabcd",
	} {
		require.GreaterOrEqual(t, raw(t, server, "POST "+source.Path+" HTTP/1.1\r\nHost: x\r\n"+rest), http.StatusBadRequest, name)
	}
	require.Empty(t, got)
}
