package forms

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// place is where data comes in: a request around it, and where it then is.
type place struct {
	name, method, path string
	// body is the request, %s where the data are.
	body    string
	headers []string
	// data points to the data, and event to what is around it: "" and "-" where they
	// are no part of the document.
	data, event string
	status      int
}

const aCloudEvent = `{"specversion":"1.0","id":"e","source":"/x","type":"t","data":%s}`

var places = []place{
	{"a schedule", http.MethodPost, "/v1/schedules", `{"type":"t","to":{"url":"https://b.example/"},"data":%s}`, nil, "/data", "", 201},
	{"a change", http.MethodPatch, "/v1/schedules/x", `{"data":%s}`, nil, "/data", "", 404}, // it is asked for, then
	{"an event", http.MethodPost, "/v1/events", `{"type":"t","id":"e","data":%s}`, nil, "/data", "", 202},
	{"a batch", http.MethodPost, "/v1/events/batch", `{"events":[{"type":"t","id":"e","data":%s}]}`, nil, "/events/0/data", "/events/0", 202},
	{"a structured CloudEvent", http.MethodPost, "/v1/events", aCloudEvent, []string{"Content-Type", "application/cloudevents+json"}, "/data", "", 202},
	{"a batch of CloudEvents", http.MethodPost, "/v1/events/batch", "[" + aCloudEvent + "]", []string{"Content-Type", "application/cloudevents-batch+json"}, "/0/data", "/0", 202},
	{"a binary CloudEvent", http.MethodPost, "/v1/events", "%s", []string{"ce-specversion", "1.0", "ce-id", "e", "ce-source", "/x", "ce-type", "t"}, "", "-", 202},
}

func (p place) sends(d *door, data string) answer {
	return d.do(p.method, p.path, fmt.Sprintf(p.body, data), p.headers...)
}

func nested(depth int) string { return strings.Repeat("[", depth) + strings.Repeat("]", depth) }

func TestBodies_DataIsNestedAtMostSoDeep(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, p := range places {
		d := d.of(t)
		require.Equal(t, p.status, p.sends(d, nested(128)).Code, p.name)
		require.Equal(t, p.status, p.sends(d, strings.Repeat(`{"a":`, 127)+"[]"+strings.Repeat("}", 127)).Code, p.name)
		for _, depth := range []int{129, 9_997, 9_999, 20_000} {
			problem := p.sends(d, nested(depth)).refused(http.StatusUnprocessableEntity, p.data)
			require.Contains(t, problem.Detail, "more than 128 levels deep", p.name)
		}
	}
}

func TestBodies_NothingElseIsNestedDeeperEither(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for body, pointer := range map[string]string{
		`{"events":` + nested(9_000) + `}`:            "/events",
		`{"events":[],"other":` + nested(128) + `}`:   "/other",
		`{"events":[{"entity":` + nested(500) + `}]}`: "/events",
		nested(129): "/0",
	} {
		d.post("/v1/events/batch", body).refused(http.StatusUnprocessableEntity, pointer)
	}
	d.post("/v1/events/batch", `{"events":[{"type":"t","cloudevent":{"source":"/x","extensions":{"a":`+nested(200)+`}}}]}`).
		refused(http.StatusUnprocessableEntity, "/events")
}

func TestBodies_SayNothingTwice(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, test := range []struct{ path, body, pointer string }{
		{"/v1/events/batch", `{"events":[{"type":"a","entity":"customer-1","data":1}],"events":[{"type":"b"}]}`, "/events"},
		{"/v1/events/batch", `{"events":[{"type":"a","type":"a"}]}`, "/events/0/type"},
		{"/v1/events/batch", `{"events":[{"type":"a"},{"type":"a","data":1,"data":2}]}`, "/events/1/data"},
		{"/v1/events", `{"type":"a","ty\u0070e":"b"}`, "/type"},
		{"/v1/events", `{"type":"a","cloudevent":{"source":"/x","extensions":{"a":1,"a":2}}}`, "/cloudevent/extensions/a"},
		{"/v1/schedules", `{"type":"t","to":{"url":"https://a.example"},"to":{"endpoint":"ep_1"}}`, "/to"},
		{"/v1/schedules", `{"type":"t","to":{"url":"https://a.example","url":"https://b.example"}}`, "/to/url"},
		{"/v1/schedules", `{"type":"t","retry":{"initial":"1s","initial":"2s"}}`, "/retry/initial"},
		{"/v1/endpoints", `{"url":"https://a.example","event_types":["*"],"headers":{"x-a":"1","x-a":"2"}}`, "/headers/x-a"},
		{"/v1/endpoints/ep_1/rotate_secret", `{"overlap":"1h","overlap":"0s"}`, "/overlap"},
		{"/v1/deliveries/cancel", `{"entity":"a","entity":"b"}`, "/entity"},
		{"/v1/deliveries/retry", `{"dry_run":true,"dry_run":false}`, "/dry_run"},
		{"/v1/keys", `{"scope":"read","scope":"admin"}`, "/scope"},
	} {
		p := d.post(test.path, test.body).refused(http.StatusUnprocessableEntity, test.pointer)
		require.Equal(t, test.pointer+": appears twice", p.Detail)
	}
	d.do(http.MethodPatch, "/v1/schedules/x", `{"data":1,"data":2}`).refused(http.StatusUnprocessableEntity, "/data")
	d.post("/v1/events", `{"id":"a","id":"b","source":"/x","specversion":"1.0","type":"t"}`, "Content-Type", "application/cloudevents+json").
		refused(http.StatusUnprocessableEntity, "/id")
	d.post("/v1/events/batch", `[{"id":"a","source":"/x","specversion":"1.0","type":"t","type":"u"}]`, "Content-Type", "application/cloudevents-batch+json").
		refused(http.StatusUnprocessableEntity, "/0/type")
}

// What data hold is not looked at: all that JSON's grammar allows passes as it is.
func TestBodies_DataPassAsTheyAre(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, p := range places {
		if p.status == http.StatusNotFound {
			continue // no message passes
		}
		for _, data := range []string{
			`{"a":1,"a":2}`, `"\ud800"`, `{"\udfff":0}`, "1e400", "-1e999", "[1e400]", "1.10", `"\u0000"`, `"\u0085\u202e"`, "null", "[]", "{}", `"é"`,
		} {
			require.Equal(t, data, string(p.sends(d, data).message(p.status).Data), p.name)
		}
	}
}

func TestBodies_HoldNoHalvesOfCharacters(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, test := range []struct{ path, body, pointer string }{
		{"/v1/events", `{"type":"t","entity":"\ud800"}`, "/entity"},
		{"/v1/events", `{"type":"\udc00"}`, "/type"},
		{"/v1/events", `{"type":"t","\ud800":1}`, "/\ufffd"},
		{"/v1/events/batch", `{"events":[{"type":"t","entity":"a\ud83d"}]}`, "/events/0/entity"},
		{"/v1/events", `{"type":"t","cloudevent":{"source":"/\ud800"}}`, "/cloudevent/source"},
		{"/v1/schedules", `{"type":"t","entity":"\ud83d\ud83d","to":{"url":"https://b.example/"}}`, "/entity"},
		{"/v1/endpoints", `{"url":"https://b.example/","event_types":["a\udfff"]}`, "/event_types/0"},
		{"/v1/endpoints", `{"url":"https://b.example/","event_types":["*"],"headers":{"x-a":"\ud800"}}`, "/headers/x-a"},
		{"/v1/keys", `{"description":"\ud800"}`, "/description"},
		{"/v1/deliveries/cancel", `{"entity":"\ud800"}`, "/entity"},
	} {
		p := d.post(test.path, test.body).refused(http.StatusUnprocessableEntity, test.pointer)
		require.Contains(t, p.Detail, "half of a surrogate pair", test.body)
	}
	m := d.post("/v1/events", `{"type":"t","id":"e","entity":"\ud83d\ude00"}`).message(http.StatusAccepted)
	require.Equal(t, "😀", m.Entity)
	d.post("/v1/events", `{"specversion":"1.0","id":"e","source":"/x","type":"t","subject":"\ud800"}`, "Content-Type", "application/cloudevents+json").
		refused(http.StatusUnprocessableEntity, "/subject")
}

func TestBodies_AreDeclaredInAnySpelling(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, media := range []string{
		"Application/JSON", "APPLICATION/JSON;CHARSET=UTF-8", "application/json; charset=utf-8", "application/json;", " application/json ",
		"application/json; charset", "application/json; charset=utf-8; charset=utf-8",
	} {
		d.post("/v1/schedules", `{"type":"t","to":{"url":"https://b.example/"}}`, "Content-Type", media).is(http.StatusCreated)
		d.post("/v1/events", `{"type":"t","id":"e"}`, "Content-Type", media).is(http.StatusAccepted)
		d.post("/v1/endpoints", `{"url":"https://b.example/","event_types":["*"]}`, "Content-Type", media).is(http.StatusCreated)
	}
	d.post("/v1/events", `{"specversion":"1.0","id":"e","source":"/x","type":"t"}`, "Content-Type", "Application/CloudEvents+JSON").is(http.StatusAccepted)
	for _, media := range []string{"", "text/plain", "application/jsonp", "application/json, text/plain", "json", "application/cloudevents+json"} {
		d.post("/v1/schedules", `{"type":"t","to":{"url":"https://b.example/"}}`, "Content-Type", media).refused(http.StatusUnsupportedMediaType, "")
	}
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var into bytes.Buffer
	w := gzip.NewWriter(&into)
	_, err := w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return into.String()
}

func TestBodies_MayBePackedByGzip(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, p := range places {
		if p.status == http.StatusNotFound {
			continue
		}
		for _, coding := range []string{"gzip", "GZIP", "x-gzip"} {
			headers := append([]string{"Content-Encoding", coding}, p.headers...)
			m := d.do(p.method, p.path, packed(t, fmt.Sprintf(p.body, `{"n":1}`)), headers...).message(p.status)
			require.JSONEq(t, `{"n":1}`, string(m.Data), p.name)
		}
		// 256 KiB count unpacked, however little they are packed, and however much.
		most := strings.Repeat("a", 256<<10-len(p.body)-10)
		require.Equal(t, p.status, d.do(p.method, p.path, packed(t, fmt.Sprintf(p.body, `"`+most+`"`)),
			append([]string{"Content-Encoding", "gzip"}, p.headers...)...).Code, p.name)
		for _, size := range []int{256 << 10, 8 << 20} {
			d.do(p.method, p.path, packed(t, fmt.Sprintf(p.body, `"`+strings.Repeat("a", size)+`"`)),
				append([]string{"Content-Encoding", "gzip"}, p.headers...)...).refused(http.StatusRequestEntityTooLarge, "")
		}
	}
}

func TestBodies_AreRefusedWherePackedOtherwise(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	whole := packed(t, `{"type":"t"}`)
	for _, test := range []struct {
		coding, body string
		status       int
	}{
		{"br", whole, http.StatusUnsupportedMediaType},
		{"deflate", whole, http.StatusUnsupportedMediaType},
		{"gzip, gzip", whole, http.StatusUnsupportedMediaType},
		{"gzip", `{"type":"t"}`, http.StatusBadRequest},
		{"gzip", whole[:len(whole)-4], http.StatusBadRequest},
		{"gzip", whole[:20] + "\x00\x00\x00" + whole[23:], http.StatusBadRequest},
		{"gzip", whole + "x", http.StatusBadRequest},
	} {
		w := d.post("/v1/events", test.body, "Content-Encoding", test.coding)
		w.refused(test.status, "")
		if test.status == http.StatusUnsupportedMediaType {
			require.Equal(t, "gzip", w.Header().Get("Accept-Encoding"))
		}
	}
	d.post("/v1/events", `{"type":"t","id":"e"}`, "Content-Encoding", "identity").is(http.StatusAccepted)
}

func TestBodies_MayBeginWithAByteOrderMark(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, p := range places {
		w := d.do(p.method, p.path, "\ufeff"+fmt.Sprintf(p.body, `{"n":1}`), p.headers...)
		require.Equal(t, p.status, w.Code, "%s: %s", p.name, w.Body)
		if p.status != http.StatusNotFound {
			require.JSONEq(t, `{"n":1}`, string(w.message(p.status).Data), p.name)
		}
	}
	d.post("/v1/events", "\ufeff").refused(http.StatusBadRequest, "")
	d.post("/v1/events", "\xff\xfe{\x00}\x00").refused(http.StatusBadRequest, "")
}

// The limit is the request's: as what a CloudEvent is taken does not count.
func TestBodies_AreMeasuredAsTheyCome(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, p := range places {
		data := `"` + strings.Repeat("a", 256<<10-len(fmt.Sprintf(p.body, `""`))) + `"`
		require.Equal(t, p.status, p.sends(d, data).Code, p.name)
		p.sends(d, data[:1]+"a"+data[1:]).refused(http.StatusRequestEntityTooLarge, "")
	}
}

func TestBodies_TellWhereTheyAreNoJSON(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for body, detail := range map[string]string{
		"{\n  \"type\" 1}":                       "not JSON: line 2, column 10: ",
		`{"type":"t","data":{"a":tru}}`:          "not JSON: line 1, column 28: ",
		`{"type":"ü", "data": }`:                 "not JSON: line 1, column 22: ",
		`{"type":"t"`:                            "not JSON: line 1, column 12: ",
		`{"type":"t"} {}`:                        "not JSON: line 1, column 14: ",
		`{"type":"t"}]`:                          "not JSON: line 1, column 13: ",
		`{"type":"t","data":[01]}`:               "not JSON: line 1, column 22: ",
		"{\"type\":\"a\tb\"}":                    "not JSON: line 1, column 11: ",
		`{"type":"t","data":{"a":1,}}`:           "not JSON: line 1, column 26: ",
		"{\"type\":\"\xff\"}":                    "the body is not valid UTF-8",
		" \n":                                    "the body is empty",
		`{"type":"t","data":` + nested(3)[:5]:    "not JSON: line 1, column 25: ",
		"{\"type\":\"t\",\"data\":\"\x7f\x00\"}": "not JSON: line 1, column 22: ",
	} {
		for _, media := range []string{"application/json", "application/cloudevents+json"} {
			p := d.post("/v1/events", body, "Content-Type", media).refused(http.StatusBadRequest, "")
			require.Contains(t, p.Detail, detail, body)
		}
	}
}
