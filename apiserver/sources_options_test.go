package apiserver_test

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func unsigned(with map[string]any) map[string]any {
	body := map[string]any{"name": "x", "verify": map[string]any{"preset": "none"}}
	maps.Copy(body, with)
	return body
}

func TestSources_SayWhatTheEntityIs(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, got := collected()
	endpoint := a.register(map[string]any{"url": to, "event_types": []string{"webhook.received"}})
	for name, destination := range map[string]any{
		"a url": map[string]any{"url": to}, "an endpoint": map[string]any{"endpoint": endpoint.ID}, "subscribers": nil,
	} {
		body := unsigned(map[string]any{
			"entity":      map[string]any{"prefix": "shop ", "pointer": "/shop/id", "value": "unknown"},
			"deduplicate": []any{map[string]any{"header": "x-id"}},
		})
		if destination != nil {
			body["to"] = destination
		}
		source := a.source(body)
		require.Equal(t, &postdate.EntityRule{Prefix: "shop ", Locator: postdate.Locator{Pointer: "/shop/id"}, Value: "unknown"}, source.Entity)
		for id, sent := range map[string][2]string{
			"": {`{"shop":{"id":7}}`, "shop 7"}, "named": {`{"shop":{"id":"\u00e9"}}`, "shop \u00e9"}, "none": {"no JSON", "shop unknown"},
			"a line break": {`{"shop":{"id":"a\nb"}}`, "shop unknown"},
		} {
			a.send(http.MethodPost, source.Path, sent[0], "X-Id", id).is(http.StatusAccepted)
			require.Equal(t, sent[1], (<-got).Entity, "%s, %s", name, id)
		}
	}
}

// refusing is a receiver that never takes anything.
func refusing(received chan<- postdate.Message) string {
	return receiver(func(_ context.Context, m postdate.Message) (postdate.Attempt, error) {
		received <- m
		return attempt(http.StatusInternalServerError), nil
	})
}

// However a message travels, its source says how often it is tried, and how long.
func TestSources_SayHowTheirDeliveriesAreTried(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	received := make(chan postdate.Message, 100)
	to := refusing(received)
	endpoint := a.register(map[string]any{"url": to, "event_types": []string{"nothing"}, "timeout": "20s", "retry": map[string]any{"schedule": []string{"1h"}}})
	for name, destination := range map[string]map[string]any{"a url": {"url": to}, "an endpoint": {"endpoint": endpoint.ID}} {
		source := a.source(unsigned(map[string]any{
			"to": destination, "retry": map[string]any{"max_attempts": 1}, "timeout": "7s", "deduplicate": []any{map[string]any{"header": "x-id"}},
		}))
		require.Equal(t, 1, source.Retry.MaxAttempts)
		require.Equal(t, postdate.Duration(7*time.Second), source.Timeout)
		for _, headers := range [][]string{nil, {"X-Id", "named"}} {
			id := a.send(http.MethodPost, source.Path, "{}", headers...).is(http.StatusAccepted).taken().ID
			<-received
			if destination["endpoint"] != nil {
				id = postdate.DeliveryID(id, endpoint.ID)
			}
			delivery := a.reaches(id, postdate.Dead)
			require.Equal(t, 1, delivery.Retry.MaxAttempts, name)
			require.Equal(t, postdate.Duration(7*time.Second), delivery.Timeout, name)
		}
	}
	require.Empty(t, received)
}

func TestSources_KeepTheirRetryInALine(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	endpoint := a.pullEndpoint("nothing")
	source := a.source(unsigned(map[string]any{"to": map[string]any{"endpoint": endpoint}, "retry": map[string]any{"max_attempts": 1}}))
	id := postdate.DeliveryID(a.send(http.MethodPost, source.Path, "{}").is(http.StatusAccepted).taken().ID, endpoint)
	var pulled apiserver.PulledMessages
	a.do(http.MethodPost, "/v1/endpoints/"+endpoint+"/pull", `{"wait":"10s"}`).is(http.StatusOK).decode(&pulled)
	require.Equal(t, 1, a.reaches(id, postdate.Sending).Retry.MaxAttempts, "in the line")
	a.do(http.MethodPost, "/v1/endpoints/"+endpoint+"/nack", `{"receipts":["`+pulled.Messages[0].Receipt+`"]}`).is(http.StatusOK)
	a.reaches(id, postdate.Dead)

	with := unsigned(map[string]any{"to": map[string]any{"endpoint": endpoint}, "timeout": "5s"})
	text, err := json.Marshal(with)
	require.NoError(t, err)
	p := a.do(http.MethodPost, "/v1/sources", string(text)).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Equal(t, "/timeout", p.Errors[0].Pointer)
}

func TestSources_ForgetWhatIsTakenBack(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	to, _ := collected()
	source := a.source(unsigned(map[string]any{
		"to": map[string]any{"url": to}, "entity": map[string]any{"value": "x"}, "retry": map[string]any{"max_attempts": 3}, "timeout": "5s",
	}))
	path := "/v1/sources/" + source.ID
	var changed apiserver.Source
	a.do(http.MethodPatch, path, `{"timeout":"6s","retry":{"max_attempts":4},"entity":{"query":"shop"}}`).is(http.StatusOK).decode(&changed)
	require.Equal(t, postdate.Duration(6*time.Second), changed.Timeout)
	require.Equal(t, 4, changed.Retry.MaxAttempts)
	require.Equal(t, "shop", changed.Entity.Query)
	for pointer, body := range map[string]string{"/timeout": `{"timeout":"61s"}`, "/entity": `{"entity":{"prefix":"a"}}`, "/retry/schedule": `{"retry":{"schedule":["1s"],"max_attempts":1}}`} {
		p := a.do(http.MethodPatch, path, body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, pointer, p.Errors[0].Pointer)
	}
	changed = apiserver.Source{}
	a.do(http.MethodPatch, path, `{"timeout":"0s","retry":{},"entity":{}}`).is(http.StatusOK).decode(&changed)
	require.Zero(t, changed.Timeout)
	require.Nil(t, changed.Retry)
	require.Nil(t, changed.Entity)
}
