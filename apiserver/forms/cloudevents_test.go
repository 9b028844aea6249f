package forms

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	asCloudEvent  = "application/cloudevents+json"
	asCloudEvents = "application/cloudevents-batch+json"
	// attributes are all that a CloudEvent must have.
	attributes = `"specversion":"1.0","id":"e","source":"/x","type":"t"`
)

// binary are the headers of a CloudEvent in binary mode; more add to them.
func binary(more ...string) []string {
	return append([]string{"ce-specversion", "1.0", "ce-id", "e", "ce-source", "/x", "ce-type", "t"}, more...)
}

func TestCloudEvents_Refused(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const events, batch = "/v1/events", "/v1/events/batch"
	long := strings.Repeat("x", 513)
	for name, test := range map[string]struct {
		path, media, body string
		status            int
		at                string
	}{
		"no id":                {events, asCloudEvent, `{"specversion":"1.0","source":"/x","type":"t"}`, 422, "/id"},
		"an empty id":          {events, asCloudEvent, `{"specversion":"1.0","id":"","source":"/x","type":"t"}`, 422, "/id"},
		"a long id":            {events, asCloudEvent, `{"specversion":"1.0","id":"` + long + `","source":"/x","type":"t"}`, 422, "/id"},
		"no source":            {events, asCloudEvent, `{"specversion":"1.0","id":"e","type":"t"}`, 422, "/source"},
		"a long source":        {events, asCloudEvent, `{"specversion":"1.0","id":"e","source":"` + long + `","type":"t"}`, 422, "/source"},
		"no type":              {events, asCloudEvent, `{"specversion":"1.0","id":"e","source":"/x"}`, 422, "/type"},
		"a long type":          {events, asCloudEvent, `{"specversion":"1.0","id":"e","source":"/x","type":"` + long + `"}`, 422, "/type"},
		"a pattern for a type": {events, asCloudEvent, `{"specversion":"1.0","id":"e","source":"/x","type":"order.*"}`, 422, "/type"},
		"no version":           {events, asCloudEvent, `{"id":"e","source":"/x","type":"t"}`, 422, "/specversion"},
		"an old version":       {events, asCloudEvent, `{"specversion":"0.3","id":"e","source":"/x","type":"t"}`, 422, "/specversion"},
		"a number":             {events, asCloudEvent, `{"specversion":"1.0","id":1,"source":"/x","type":"t"}`, 422, "/id"},
		"a time":               {events, asCloudEvent, `{` + attributes + `,"time":"today"}`, 422, "/time"},
		"an empty time":        {events, asCloudEvent, `{` + attributes + `,"time":""}`, 422, "/time"},
		"an empty subject":     {events, asCloudEvent, `{` + attributes + `,"subject":""}`, 422, "/subject"},
		"a long subject":       {events, asCloudEvent, `{` + attributes + `,"subject":"` + long + `"}`, 422, "/subject"},
		"a control":            {events, asCloudEvent, `{` + attributes + `,"subject":"a\nb"}`, 422, "/subject"},
		"a C1 control":         {events, asCloudEvent, `{` + attributes + `,"subject":"a\u0085b"}`, 422, "/subject"},
		"no character":         {events, asCloudEvent, `{` + attributes + `,"region":"\ufffe"}`, 422, "/region"},
		"a control in an id":   {events, asCloudEvent, `{"specversion":"1.0","id":"a\u0000","source":"/x","type":"t"}`, 422, "/id"},
		"an entity":            {events, asCloudEvent, `{` + attributes + `,"entity":"` + long + `"}`, 422, "/entity"},
		"an entity that turns": {events, asCloudEvent, `{` + attributes + `,"entity":"a\u202eb"}`, 422, "/entity"},
		"a dataschema":         {events, asCloudEvent, `{` + attributes + `,"dataschema":"` + long + `"}`, 422, "/dataschema"},
		"data twice":           {events, asCloudEvent, `{` + attributes + `,"data":1,"data_base64":"MQ=="}`, 422, "/data_base64"},
		"bytes":                {events, asCloudEvent, `{` + attributes + `,"data_base64":"AA=="}`, 422, "/data_base64"},
		"no base64":            {events, asCloudEvent, `{` + attributes + `,"data_base64":"{}"}`, 422, "/data_base64"},
		"a number for base64":  {events, asCloudEvent, `{` + attributes + `,"data_base64":1}`, 422, "/data_base64"},
		"deep bytes":           {events, asCloudEvent, `{` + attributes + `,"data_base64":"` + base64.StdEncoding.EncodeToString([]byte(nested(129))) + `"}`, 422, "/data_base64"},
		"XML":                  {events, asCloudEvent, `{` + attributes + `,"datacontenttype":"application/xml","data":"<a/>"}`, 415, "/datacontenttype"},
		"XML in base64":        {events, asCloudEvent, `{` + attributes + `,"datacontenttype":"application/xml","data_base64":"MQ=="}`, 415, "/datacontenttype"},
		"a header in a type":   {events, asCloudEvent, `{` + attributes + `,"datacontenttype":"application/json; a=\"é\"","data":1}`, 415, "/datacontenttype"},
		"a nested value":       {events, asCloudEvent, `{` + attributes + `,"nested":{"a":1}}`, 422, "/nested"},
		"a capital":            {events, asCloudEvent, `{` + attributes + `,"Region":"eu"}`, 422, "/Region"},
		"a slash":              {events, asCloudEvent, `{` + attributes + `,"a/b~":"eu"}`, 422, "/a~1b~0"},
		"a fraction":           {events, asCloudEvent, `{` + attributes + `,"n":1.5}`, 422, "/n"},
		"a large number":       {events, asCloudEvent, `{` + attributes + `,"n":2147483648}`, 422, "/n"},
		"a small number":       {events, asCloudEvent, `{` + attributes + `,"n":-2147483649}`, 422, "/n"},
		"no number":            {events, asCloudEvent, `{` + attributes + `,"n":1e400}`, 422, "/n"},
		"no object":            {events, asCloudEvent, `["x"]`, 422, ""},
		"no JSON":              {events, asCloudEvent, `{"specversion"}`, 400, ""},
		"nothing":              {events, asCloudEvent, ``, 400, ""},
		"a batch":              {events, asCloudEvents, `[{` + attributes + `}]`, 415, ""},
		"no batch":             {batch, asCloudEvent, `{` + attributes + `}`, 415, ""},
		"no array":             {batch, asCloudEvents, `{` + attributes + `}`, 422, ""},
		"null":                 {batch, asCloudEvents, `null`, 422, ""},
		"no event":             {batch, asCloudEvents, `[null]`, 422, "/0"},
		"one of a batch":       {batch, asCloudEvents, `[{` + attributes + `},{"specversion":"1.0","id":"e2","type":"t"}]`, 422, "/1/source"},
		"too many":             {batch, asCloudEvents, `[` + strings.Repeat(`{`+attributes+`},`, 100) + `{` + attributes + `}]`, 422, ""},
	} {
		t.Log(name)
		d.post(test.path, test.body, "Content-Type", test.media).refused(test.status, test.at)
	}
}

func TestCloudEvents_RefusedInBinaryMode(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for name, test := range map[string]struct {
		headers []string
		body    string
		status  int
		at      string
	}{
		"no type":          {[]string{"ce-specversion", "1.0", "ce-id", "e", "ce-source", "/x"}, `1`, 422, "/type"},
		"an empty type":    {[]string{"ce-specversion", "1.0", "ce-id", "e", "ce-source", "/x", "ce-type", ""}, `1`, 422, "/type"},
		"XML":              {binary("Content-Type", "application/xml"), `<a/>`, 415, ""},
		"undeclared":       {binary("Content-Type", ""), `1`, 415, ""},
		"no JSON":          {binary(), `{`, 400, ""},
		"two ids":          {binary("ce-id", "f"), `1`, 422, "/id"},
		"two alike":        {binary("ce-source", "/x"), `1`, 422, "/source"},
		"two extensions":   {binary("ce-region", "eu", "Ce-Region", "us"), `1`, 422, "/region"},
		"a data type":      {binary("ce-datacontenttype", "application/json"), `1`, 422, "/datacontenttype"},
		"data":             {binary("ce-data", "1"), `1`, 422, "/data"},
		"a hyphen":         {binary("ce-a-b", "1"), `1`, 422, "/a-b"},
		"half a surrogate": {binary("ce-subject", "%ED%A0%80"), `1`, 422, "/subject"},
	} {
		t.Log(name)
		d.post("/v1/events", test.body, test.headers...).refused(test.status, test.at)
	}
	// Every attribute and every extension, however the bytes come there.
	for _, attribute := range []string{"id", "source", "type", "subject", "dataschema", "time", "region"} {
		for _, value := range []string{"%FF", "a%C3", "%ED%A0%80", "%C0%80", "\xff", "caf\xe9", "a%00", "a%0Ab", "%7F", "%C2%85", `"%FF"`} {
			headers := []string{"ce-specversion", "1.0", "ce-id", "e", "ce-source", "/x", "ce-type", "t", "ce-" + attribute, value}
			if at := map[string]int{"id": 2, "source": 4, "type": 6}[attribute]; at > 0 {
				headers = append(headers[:at], headers[at+2:]...)
			}
			d.post("/v1/events", `1`, headers...).refused(http.StatusUnprocessableEntity, "/"+attribute)
		}
	}
}

func TestCloudEvents_BinaryValuesAreDecodedOnce(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for value, want := range map[string]string{
		"a%20b": "a b", "%C3%A9": "é", "é": "é", `"a b"`: "a b", `"a \"b\" \\"`: `a "b" \`, "a%2520b": "a%20b", "100%": "100%", "+": "+", `"%22"`: `"`,
	} {
		m := d.post("/v1/events", `1`, binary("ce-subject", value, "ce-region", value)...).message(http.StatusAccepted)
		require.Equal(t, want, m.CloudEvent.Subject)
		require.Equal(t, want, m.CloudEvent.Extensions["region"])
	}
}

// An id of whichever kind is kept, and the event gets one of ours.
func TestCloudEvents_HaveIdsOfAnyKind(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	seen := make(map[string]string)
	for _, id := range []string{
		"a/b", "a.b", "a+b=", "é", "{1}", "a b", "%41", strings.Repeat("i", 129), "evt_00000000000000000000000000000000_0", "..", "a%2Fb",
	} {
		structured := `{"specversion":"1.0","id":` + strconv.Quote(id) + `,"source":"/x","type":"t"}`
		m := d.post("/v1/events", structured, "Content-Type", asCloudEvent).message(http.StatusAccepted)
		require.NoError(t, postdate.ValidateID("", m.ID))
		require.Equal(t, id, m.CloudEvent.ID)
		require.Equal(t, m.ID, postdate.CloudEventID("/x", id))
		require.NotEqual(t, m.ID, postdate.CloudEventID("/y", id))
		require.NotContains(t, seen, m.ID)
		seen[m.ID] = id

		batch, ok := d.post("/v1/events/batch", "["+structured+"]", "Content-Type", asCloudEvents).is(http.StatusAccepted).(protocol.DispatchInput)
		require.True(t, ok)
		require.Equal(t, m.ID, batch.Events[0].Message.ID)
		encoded := strings.NewReplacer("%", "%25", " ", "%20", `"`, "%22", "é", "%C3%A9").Replace(id)
		require.Equal(t, m.ID, d.post("/v1/events", "", []string{
			"ce-specversion", "1.0", "ce-id", encoded, "ce-source", "/x", "ce-type", "t",
		}...).message(http.StatusAccepted).ID)
	}
	m := d.post("/v1/events", `{`+attributes+`}`, "Content-Type", asCloudEvent).message(http.StatusAccepted)
	require.Equal(t, postdate.CloudEventID("/x", "e"), m.ID)
	require.Equal(t, "e", m.CloudEvent.ID)
	d.post("/v1/events", `{"id":"a/b","type":"t"}`).refused(http.StatusUnprocessableEntity, "/id") // in our own form the id is the event's
}

func TestCloudEvents_LeaveWithATimeOnlyWhereTheyCameWithOne(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, body := range []string{`{` + attributes + `}`, `{` + attributes + `,"time":null}`} {
		m := d.post("/v1/events", body, "Content-Type", asCloudEvent).message(http.StatusAccepted)
		require.True(t, m.CloudEvent.NoTime)
		require.Equal(t, now, m.Timestamp, "the other modes show when it was accepted")
	}
	require.True(t, d.post("/v1/events", "1", binary()...).message(http.StatusAccepted).CloudEvent.NoTime)
	m := d.post("/v1/events", `{`+attributes+`,"time":"2026-06-01T12:00:00+02:00"}`, "Content-Type", asCloudEvent).message(http.StatusAccepted)
	require.False(t, m.CloudEvent.NoTime)
	require.Equal(t, now.Add(-2*3600e9), m.Timestamp)
	require.False(t, d.post("/v1/events", `{"id":"e","type":"t","cloudevent":{"source":"/x"}}`).message(http.StatusAccepted).CloudEvent.NoTime)
	d.post("/v1/events", `{"id":"e","type":"t","cloudevent":{"source":"/x","no_time":true}}`).
		refused(http.StatusUnprocessableEntity, "/cloudevent/no_time")
}

func TestCloudEvents_HaveIntegersOf32Bits(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, n := range []string{"-2147483648", "2147483647", "0", "-0", "1.0", "1e3"} {
		want, err := strconv.ParseFloat(n, 64)
		require.NoError(t, err)
		m := d.post("/v1/events", `{`+attributes+`,"n":`+n+`}`, "Content-Type", asCloudEvent).message(http.StatusAccepted)
		require.InDelta(t, want, m.CloudEvent.Extensions["n"], 0)
		m = d.post("/v1/events", `{"id":"e","type":"t","cloudevent":{"source":"/x","extensions":{"n":`+n+`}}}`).message(http.StatusAccepted)
		require.InDelta(t, want, m.CloudEvent.Extensions["n"], 0)
	}
}

func TestCloudEvents_MayHaveTheirJSONInBase64(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, media := range []string{"", `"datacontenttype":"application/json",`, `"datacontenttype":"application/vnd.a+json",`} {
		m := d.post("/v1/events", `{`+media+attributes+`,"data_base64":"`+base64.StdEncoding.EncodeToString([]byte(`{"n": 1.10}`))+`"}`,
			"Content-Type", asCloudEvent).message(http.StatusAccepted)
		require.Equal(t, `{"n":1.10}`, string(m.Data))
		require.Empty(t, m.CloudEvent.Extensions)
	}
	m := d.post("/v1/events", `{`+attributes+`,"data_base64":null}`, "Content-Type", asCloudEvent).message(http.StatusAccepted)
	require.Empty(t, m.Data)
	m = d.post("/v1/events", `{`+attributes+`,"data_base64":"\u004dQ=="}`, "Content-Type", asCloudEvent).message(http.StatusAccepted)
	require.Equal(t, "1", string(m.Data))
}

func TestCloudEvents_ABatchMayBeOfNone(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.post("/v1/events/batch", `[]`, "Content-Type", asCloudEvents)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.JSONEq(t, `{"data":[]}`, w.Body.String())
	require.Empty(t, w.passed)
}

// An event that breaks a rule does not hold up the others of its batch, and the pointer is
// into the caller's own document.
func TestCloudEvents_OfABatchAreRefusedOneByOne(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	w := d.post("/v1/events/batch", `[{`+attributes+`},{"specversion":"1.0","id":"f","source":"/x","type":"t","n":1.5}]`, "Content-Type", asCloudEvents)
	require.Equal(t, http.StatusAccepted, w.Code, w.Body)
	require.Len(t, w.passed, 1)
	require.Contains(t, w.Body.String(), `"pointer":"/1/n"`)
	w = d.post("/v1/events/batch", `{"events":[{"type":"t","id":"e"},{"type":"a*","id":"f"}]}`)
	require.Len(t, w.passed, 1)
	require.Contains(t, w.Body.String(), `"pointer":"/events/1/type"`)
}

// The rules of our own form hold for the same texts.
func TestCloudEvents_OfOurOwnFormAreHeldToTheSameRules(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for member, pointer := range map[string]string{
		`"subject":"a\nb"`:                            "/cloudevent/subject",
		`"dataschema":"\u0000"`:                       "/cloudevent/dataschema",
		`"datacontenttype":"text/xml"`:                "/cloudevent/datacontenttype",
		`"datacontenttype":"application/json\r\nx:y"`: "/cloudevent/datacontenttype",
		`"extensions":{"a":"\u0085"}`:                 "/cloudevent/extensions/a",
		`"extensions":{"A":"b"}`:                      "/cloudevent/extensions/A",
		`"id":"a"`:                                    "/cloudevent/id",
	} {
		d.post("/v1/events", fmt.Sprintf(`{"type":"t","id":"e","cloudevent":{"source":"/x",%s}}`, member)).
			refused(http.StatusUnprocessableEntity, pointer)
	}
}

// What CloudEvents are asked for beside their bodies holds for them too.
func TestCloudEvents_AreHeldToTheParameters(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, key := range []string{"", `""`, strings.Repeat("k", 256)} {
		d.post("/v1/events", `{`+attributes+`}`, "Content-Type", asCloudEvent, "Idempotency-Key", key).
			refused(http.StatusUnprocessableEntity, "/Idempotency-Key")
	}
	d.post("/v1/events?x=1", `1`, binary()...).refused(http.StatusUnprocessableEntity, "/x")
}
