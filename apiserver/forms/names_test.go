package forms

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func quoted(t *testing.T, text string) string {
	t.Helper()
	encoded, err := json.Marshal(text)
	require.NoError(t, err)
	return string(encoded)
}

// typesAndWhether are types, and whether they are taken: as what is published,
// scheduled, subscribed to and asked for.
var typesAndWhether = map[string]bool{
	"payment_request.due": true, "Order Completed": true, " a": true, "a ": true, "überfällig": true, "😀": true, "a/b": true, "a.": true,
	".a": true, "..": true, "?": true, "'": true, `"`: true, "a,b": true, strings.Repeat("é", 128): true, "👨‍👩‍👧": true,
	"order.*": false, "*": false, "a*": false, "*.a": false, "a*b": false, "": false, strings.Repeat("é", 129): false,
	"a\nb": false, "a\tb": false, "\x00": false, "\x7f": false, "a\u0085b": false, "\u009f": false, "a\u2028b": false, "a\u2029b": false,
	"a\u202eb": false, "\u202aa": false, "a\u2066b\u2069": false, "\u200ea": false, "a\u200f": false, "\u061ca": false, "\ufffe": false,
}

func TestNames_WhatCanBePublishedCanBeSubscribedTo(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for name, taken := range typesAndWhether {
		text := quoted(t, name)
		accepted, created, asked, begun := http.StatusAccepted, http.StatusCreated, http.StatusOK, http.StatusAccepted
		if !taken {
			accepted, created, asked, begun = 422, 422, 422, 422
		}
		require.Equal(t, accepted, d.post("/v1/events", `{"id":"e","type":`+text+`}`).Code, "%q", name)
		require.Equal(t, accepted, d.post("/v1/events", `{"specversion":"1.0","id":"e","source":"/x","type":`+text+`}`, "Content-Type", asCloudEvent).Code, "%q", name)
		require.Equal(t, created, d.post("/v1/schedules", `{"type":`+text+`,"to":{"url":"https://b.example/"}}`).Code, "%q", name)
		require.Equal(t, asked, d.do(http.MethodGet, "/v1/deliveries?type="+url.QueryEscape(name), "").Code, "%q", name)
		require.Equal(t, begun, d.post("/v1/deliveries/cancel", `{"type":`+text+`}`).Code, "%q", name)
		if name == "*" || name == "order.*" {
			continue // they stand for many
		}
		require.Equal(t, created, d.post("/v1/endpoints", `{"url":"https://b.example/","event_types":["t",`+text+`]}`).Code, "%q", name)
		patched := d.do(http.MethodPatch, "/v1/endpoints/ep_1", `{"event_types":[`+text+`]}`).Code
		require.Equal(t, taken, patched == http.StatusOK, "%q", name)
		if taken {
			require.True(t, postdate.Endpoint{EventTypes: []string{name}}.Subscribes(name), "%q", name)
		}
	}
}

func TestNames_ASubscriptionMayStandForMany(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for wanted, taken := range map[string]bool{
		"*": true, "order.*": true, "Order Completed.*": true, "a.b.*": true, strings.Repeat("é", 126) + ".*": true,
		".*": false, "a*": false, "a.*.b": false, "*.*": false, "**": false, "a.**": false, strings.Repeat("é", 127) + ".*": false, "a\u202e.*": false,
	} {
		w := d.post("/v1/endpoints", `{"url":"https://b.example/","event_types":["t",`+quoted(t, wanted)+`]}`)
		if taken {
			require.Equal(t, http.StatusCreated, w.Code, wanted)
			continue
		}
		w.refused(http.StatusUnprocessableEntity, "/event_types/1")
	}
}

// An entity is a name like a type, and may have an asterisk.
func TestNames_AreWhatPeopleSee(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for name, taken := range typesAndWhether {
		taken = taken || strings.Contains(name, "*")
		text := quoted(t, name)
		for _, w := range []answer{
			d.post("/v1/events", `{"id":"e","type":"t","entity":`+text+`}`),
			d.post("/v1/events/batch", `{"events":[{"id":"e","type":"t","entity":`+text+`}]}`),
			d.post("/v1/schedules", `{"type":"t","to":{"url":"https://b.example/"},"entity":`+text+`}`),
			d.post("/v1/deliveries/retry", `{"entity":`+text+`}`),
			d.do(http.MethodGet, "/v1/schedules?entity="+url.QueryEscape(name), ""),
		} {
			if taken {
				require.Less(t, w.Code, 300, "%q: %s", name, w.Body)
				require.NotContains(t, w.Body.String(), `"error"`, "%q", name)
				continue
			}
			require.True(t, w.Code == 422 || strings.Contains(w.Body.String(), `"code":"invalid"`), "%q: %s", name, w.Body)
			require.Empty(t, w.passed)
		}
	}
}

// A key means the same in quotes, as its draft has it, and without.
func TestNames_AKeyIsOneInQuotesAndWithout(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	idOf := func(path, body, key string) string {
		w := d.post(path, body, "Idempotency-Key", key)
		require.Less(t, w.Code, 300, w.Body)
		var answered struct {
			ID   string `json:"id"`
			Data []struct {
				ID string `json:"id"`
			} `json:"data"`
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answered))
		if len(answered.Data) > 0 {
			return answered.Data[0].ID
		}
		return answered.ID
	}
	for path, body := range map[string]string{
		"/v1/schedules":    `{"type":"t","to":{"url":"https://b.example/"}}`,
		"/v1/events":       `{"type":"t"}`,
		"/v1/events/batch": `{"events":[{"type":"t"}]}`,
		"/v1/endpoints":    `{"url":"https://b.example/","event_types":["*"]}`,
	} {
		id := idOf(path, body, "k1")
		require.NotEmpty(t, id)
		require.Equal(t, id, idOf(path, body, `"k1"`), path)
		require.Equal(t, id, idOf(path, body, ` "k1" `), path)
		require.NotEqual(t, id, idOf(path, body, `"k2"`), path)
		require.Equal(t, idOf(path, body, `a"b\`), idOf(path, body, `"a\"b\\"`), path)
		require.NotEqual(t, id, idOf(path, body, `"k1`), path)
		require.Equal(t, http.StatusBadRequest, d.post(path, body, "Idempotency-Key", "k1", "Idempotency-Key", "k1").Code)
	}
}
