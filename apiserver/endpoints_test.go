package apiserver_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

// registration is an endpoint as a request has it; fields add to it or replace.
type registration map[string]any

func (r registration) String() string {
	body := map[string]any{"url": "https://crm.example/hooks", "event_types": []string{"*"}}
	maps.Copy(body, r)
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func (a *api) register(r registration, headers ...string) apiserver.EndpointWithSecret {
	a.t.Helper()
	var made apiserver.EndpointWithSecret
	a.do(http.MethodPost, "/v1/endpoints", r.String(), headers...).is(http.StatusCreated).decode(&made)
	return made
}

func (a *api) onEndpoint(method, path, body string) apiserver.Endpoint {
	a.t.Helper()
	var e apiserver.Endpoint
	a.do(method, "/v1/endpoints/"+path, body).is(http.StatusOK).decode(&e)
	return e
}

func TestEndpoints_HaveDefaults(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(nil)
	require.Regexp(t, "^ep_[0-9a-f]{20}$", made.ID)
	require.Regexp(t, "^whsec_", made.Secret)
	require.Empty(t, made.PublicKey)
	require.Equal(t, postdate.Standard, made.Mode)
	require.Equal(t, postdate.HMAC, made.Signature)
	require.Equal(t, postdate.Enabled, made.State)
	require.Equal(t, postdate.DefaultTimeout, made.Timeout.Duration())
	require.Equal(t, postdate.DefaultRetry.Schedule, made.Retry.Schedule)
	require.Equal(t, []string{}, made.Headers)
}

func TestEndpoints_TellTheirSecretsOnce(t *testing.T) {
	t.Parallel()
	log := newLog()
	a := newAPI(t, log.into)
	made := a.register(registration{"headers": map[string]string{"x-token": "hunter2", "X-Team": "billing"}})
	require.Equal(t, []string{"X-Team", "x-token"}, made.Headers)
	rotated := a.rotate("/v1/endpoints/"+made.ID+"/rotate_secret", `{"overlap":"1h"}`)
	require.NotEqual(t, made.Secret, rotated.Secret)

	a.do(http.MethodPost, "/v1/events", `{"id":"e","type":"t"}`).is(http.StatusAccepted)
	for _, path := range []string{
		"/v1/endpoints", "/v1/endpoints/" + made.ID, "/v1/events/e", "/v1/deliveries/e." + made.ID, "/v1/deliveries", "/v1/keys",
	} {
		body := a.do(http.MethodGet, path, "").is(http.StatusOK).Body.String()
		for _, secret := range []string{made.Secret, rotated.Secret, "hunter2"} {
			require.NotContains(t, body, secret, path)
		}
	}
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, secret := range []string{made.Secret, rotated.Secret, "hunter2", "crm.example"} {
		require.NotContains(t, log.text.String(), secret)
	}
}

func TestEndpoints_OfV1aShowTheirPublicKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{"signature": "v1a", "mode": "cloudevents_binary"})
	require.Regexp(t, "^whpk_", made.PublicKey)
	require.Empty(t, made.Secret)
	require.Equal(t, made.PublicKey, a.onEndpoint(http.MethodGet, made.ID, "").PublicKey)
	rotated := a.rotate("/v1/endpoints/"+made.ID+"/rotate_secret", "")
	require.Empty(t, rotated.Secret)
	require.NotEqual(t, made.PublicKey, rotated.PublicKey)
	require.Equal(t, rotated.PublicKey, a.onEndpoint(http.MethodGet, made.ID, "").PublicKey)
}

func TestEndpoints_RepeatedRequests(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(nil, "Idempotency-Key", "k")
	w := a.do(http.MethodPost, "/v1/endpoints", registration{}.String(), "Idempotency-Key", "k").is(http.StatusOK)
	require.NotContains(t, w.Body.String(), "whsec_")
	var again apiserver.Endpoint
	w.decode(&again)
	require.Equal(t, made.ID, again.ID)
	a.do(http.MethodPost, "/v1/endpoints", registration{"description": "another"}.String(), "Idempotency-Key", "k").
		problem(http.StatusConflict, postdate.Conflict)
	require.NotEqual(t, made.ID, a.register(nil).ID)
	require.NotEqual(t, made.ID, newAPI(t).register(nil, "Idempotency-Key", "k").ID, "a key is one tenant's")
}

func TestEndpoints_ChangeWhatIsGiven(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{"description": "old", "headers": map[string]string{"x-a": "1"}, "timeout": "5s"})
	e := a.onEndpoint(http.MethodPatch, made.ID, `{"url":"https://other.example/","event_types":["a.*"],"mode":"cloudevents_structured"}`)
	require.Equal(t, "https://other.example/", e.URL)
	require.Equal(t, []string{"a.*"}, e.EventTypes)
	require.Equal(t, postdate.CloudEventsStructured, e.Mode)
	require.Equal(t, "old", e.Description)
	require.Equal(t, []string{"x-a"}, e.Headers)
	require.Equal(t, postdate.Duration(5*time.Second), e.Timeout)

	e = a.onEndpoint(http.MethodPatch, made.ID, `{"description":"","headers":{},"timeout":"7s","retry":{"schedule":["1s"]}}`)
	require.Empty(t, e.Description)
	require.Empty(t, e.Headers)
	require.Equal(t, postdate.Duration(7*time.Second), e.Timeout)
	require.Len(t, e.Retry.Schedule, 1)
	require.Equal(t, e, a.onEndpoint(http.MethodGet, made.ID, ""))
}

func TestEndpoints_RefusesWhatCouldNeverBeSentTo(t *testing.T) {
	t.Parallel()
	a := newAPI(t, func(c *apiserver.Config) {
		c.CheckURL = func(_ string, u *url.URL) error {
			if u.Hostname() == "10.0.0.1" {
				return errors.New("10.0.0.1 is a private address")
			}
			return nil
		}
	})
	made := a.register(nil)
	for body, at := range map[string]string{
		`{"url":"http://crm.example"}`:                       "/url",
		`{"url":"https://10.0.0.1/"}`:                        "/url",
		`{"url":""}`:                                         "/url",
		`{"event_types":["a*"]}`:                             "/event_types/0",
		`{"event_types":[]}`:                                 "/event_types",
		`{"headers":{"Host":"x"}}`:                           "/headers/Host",
		`{"headers":{"webhook-id":"x"}}`:                     "/headers/webhook-id",
		`{"timeout":"2m"}`:                                   "/timeout",
		`{"mode":"xml"}`:                                     "/mode",
		`{"retry":{"schedule":["-1s"]}}`:                     "/retry/schedule",
		`{"description":"` + strings.Repeat("d", 257) + `"}`: "/description",
		`{"signature":"v2"}`:                                 "/signature",
	} {
		var fields registration
		require.NoError(t, json.Unmarshal([]byte(body), &fields))
		p := a.do(http.MethodPost, "/v1/endpoints", fields.String()).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer, body)
		p = a.do(http.MethodPatch, "/v1/endpoints/"+made.ID, body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer, body)
	}
	a.do(http.MethodPatch, "/v1/endpoints/"+made.ID, `{}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestEndpoints_AreListedInTheirOrder(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var ids []string
	for i := range 5 {
		ids = append(ids, a.register(registration{"description": strconv.Itoa(i)}).ID)
	}
	var listed []string
	for cursor := ""; ; {
		var page apiserver.EndpointList
		a.do(http.MethodGet, "/v1/endpoints?limit=2"+cursor, "").is(http.StatusOK).decode(&page)
		for _, e := range page.Data {
			listed = append(listed, e.ID)
		}
		if !page.HasMore {
			break
		}
		cursor = "&cursor=" + page.NextCursor
	}
	require.Equal(t, ids, listed)
	a.do(http.MethodGet, "/v1/endpoints?cursor=ep_x", "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.JSONEq(t, `{"data":[],"has_more":false}`, newAPI(t).do(http.MethodGet, "/v1/endpoints", "").Body.String())
}

// A cursor is a position, which outlives what stood there.
func TestEndpoints_AWalkSurvivesTheDeletionOfWhatWasShown(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	var ids []string
	for i := range 6 {
		ids = append(ids, a.register(registration{"description": strconv.Itoa(i)}).ID)
	}
	page := func(cursor string) (shown []string, next string) {
		var page apiserver.EndpointList
		a.do(http.MethodGet, "/v1/endpoints?limit=2"+cursor, "").is(http.StatusOK).decode(&page)
		for _, e := range page.Data {
			shown = append(shown, e.ID)
		}
		require.Equal(t, page.HasMore, page.NextCursor != "")
		return shown, "&cursor=" + page.NextCursor
	}
	shown, cursor := page("")
	require.Equal(t, ids[:2], shown)
	for _, gone := range []string{ids[0], ids[1], ids[3]} {
		a.do(http.MethodDelete, "/v1/endpoints/"+gone, "").is(http.StatusOK)
	}
	shown, cursor = page(cursor)
	require.Equal(t, []string{ids[2], ids[4]}, shown)
	added := a.register(registration{}).ID
	shown, _ = page(cursor)
	require.Equal(t, []string{ids[5], added}, shown)
	b.do(http.MethodGet, "/v1/endpoints?limit=2"+cursor, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
	a.do(http.MethodGet, "/v1/deliveries?limit=2"+cursor, "").problem(http.StatusUnprocessableEntity, postdate.Invalid)
}

func TestEndpoints_ATestIsAnsweredByTheReceiver(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	got := make(chan postdate.Message, 1)
	made := a.register(registration{"url": receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		got <- m
		return attempt(http.StatusTeapot), nil
	})})
	for _, state := range []string{"resume", "pause"} {
		a.onEndpoint(http.MethodPost, made.ID+"/"+state, "")
		var result apiserver.TestResult
		a.do(http.MethodPost, "/v1/endpoints/"+made.ID+"/test", "").is(http.StatusOK).decode(&result)
		require.Equal(t, http.StatusTeapot, result.Attempt.Status)
		require.Equal(t, postdate.Failed, result.Attempt.Outcome)
		m := <-got
		require.Equal(t, "postdate.test", m.Type)
		require.JSONEq(t, `{"endpoint":"`+made.ID+`"}`, string(m.Data))
		require.Equal(t, result.Delivery, m.ID+"."+made.ID)
	}
	require.Empty(t, a.list("/v1/schedules"), "a test is no schedule")
}

func TestEndpoints_PauseParksResumeSends(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{"url": answering(http.StatusOK)})
	require.Equal(t, postdate.Paused, a.onEndpoint(http.MethodPost, made.ID+"/pause", "").State)
	a.do(http.MethodPost, "/v1/events", `{"id":"e","type":"t"}`).is(http.StatusAccepted)
	a.listed(1, "state", "parked", "endpoint", made.ID)
	require.Equal(t, postdate.Enabled, a.onEndpoint(http.MethodPost, made.ID+"/resume", "").State)
	a.listed(1, "state", "delivered", "endpoint", made.ID)
}

func TestEndpoints_DeletionCancelsWhatIsParkedOrRetrying(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	made := a.register(registration{"url": answering(http.StatusOK)})
	a.onEndpoint(http.MethodPost, made.ID+"/pause", "")
	for _, id := range []string{"e1", "e2"} {
		a.do(http.MethodPost, "/v1/events", `{"id":"`+id+`","type":"t"}`).is(http.StatusAccepted)
	}
	a.listed(2, "state", "parked")
	var deleted apiserver.EndpointDeleted
	a.do(http.MethodDelete, "/v1/endpoints/"+made.ID, "").is(http.StatusOK).decode(&deleted)
	require.Equal(t, 2, deleted.Cancelled)
	a.listed(2, "state", "cancelled")
	a.do(http.MethodDelete, "/v1/endpoints/"+made.ID, "").problem(http.StatusNotFound, postdate.NotFound)
	require.Empty(t, a.list("/v1/schedules"))
}

func TestEndpoints_OfOthersAreNotThere(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	b.register(nil)
	made := a.register(nil)
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, "", ""},
		{http.MethodPatch, "", `{"description":"mine"}`},
		{http.MethodDelete, "", ""},
		{http.MethodPost, "/rotate_secret", ""},
		{http.MethodPost, "/test", ""},
		{http.MethodPost, "/pause", ""},
		{http.MethodPost, "/resume", ""},
		{http.MethodGet, "/health", ""},
	} {
		mine := b.do(call.method, "/v1/endpoints/"+made.ID+call.path, call.body).problem(http.StatusNotFound, postdate.NotFound)
		none := b.do(call.method, "/v1/endpoints/ep_none"+call.path, call.body).problem(http.StatusNotFound, postdate.NotFound)
		require.Equal(t, none.Detail, strings.Replace(mine.Detail, made.ID, "ep_none", 1))
	}
	require.Equal(t, made.State, a.onEndpoint(http.MethodGet, made.ID, "").State)
	b.do(http.MethodPost, "/v1/schedules", message{"to": map[string]string{"endpoint": made.ID}}.String()).
		problem(http.StatusUnprocessableEntity, postdate.Invalid)
}
