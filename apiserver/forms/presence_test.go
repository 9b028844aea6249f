package forms

import (
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// zero is the time that programs send which have none: Go's and .NET's.
const zero = `"0001-01-01T00:00:00Z"`

func TestPresence_TheTimeZeroIsATime(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const to = `"type":"t","to":{"url":"https://b.example/"}`
	for _, test := range []struct{ method, path, body, pointer string }{
		{http.MethodPost, "/v1/schedules", `{` + to + `,"expires_at":` + zero + `}`, "/expires_at"},
		{http.MethodPost, "/v1/schedules", `{` + to + `,"due_at":` + zero + `,"expires_at":` + zero + `}`, "/expires_at"},
		{http.MethodPost, "/v1/schedules", `{` + to + `,"due_at":` + zero + `,"delay":"1h"}`, "/delay"},
		{http.MethodPost, "/v1/schedules", `{` + to + `,"due_at":"0000-12-31T23:59:59Z"}`, "/due_at"},
		{http.MethodPost, "/v1/schedules", `{` + to + `,"due_at":"0001-01-01T00:00:00+01:00","expires_at":` + zero + `}`, "/due_at"},
		{http.MethodPost, "/v1/keys", `{"expires_at":` + zero + `}`, "/expires_at"},
		{http.MethodPost, "/v1/schedules/x/pause", `{"until":` + zero + `}`, "/until"},
	} {
		d.do(test.method, test.path, test.body).refused(http.StatusUnprocessableEntity, test.pointer)
	}

	in, ok := d.post("/v1/schedules", `{`+to+`,"due_at":`+zero+`}`).is(http.StatusCreated).(protocol.DeliverInput)
	require.True(t, ok)
	require.Equal(t, now, in.Shipment.DueAt, "a time that has passed means now")
	change := d.do(http.MethodPatch, "/v1/schedules/x", `{"due_at":`+zero+`,"data":1}`).is(http.StatusNotFound)
	require.Equal(t, postdate.Change{DueAt: &now, Data: []byte("1")}, change)
	change = d.do(http.MethodPatch, "/v1/schedules/x", `{"due_at":`+zero+`}`).is(http.StatusNotFound)
	require.Equal(t, postdate.Change{DueAt: &now}, change)
	change = d.do(http.MethodPatch, "/v1/schedules/x", `{"data":null}`).is(http.StatusNotFound)
	require.Equal(t, postdate.Change{Data: []byte("null")}, change)
	require.True(t, d.post("/v1/events", `{"id":"e","type":"t","timestamp":`+zero+`}`).message(http.StatusAccepted).Timestamp.IsZero())
	require.Equal(t, now, d.post("/v1/events", `{"id":"e","type":"t"}`).message(http.StatusAccepted).Timestamp)
	event := `{"specversion":"1.0","id":"e","source":"/x","type":"t","time":` + zero + `}`
	m := d.post("/v1/events", event, "Content-Type", "application/cloudevents+json").message(http.StatusAccepted)
	require.True(t, m.Timestamp.IsZero())
	require.False(t, m.CloudEvent.NoTime)
}

func TestPresence_AFilterByTheTimeZeroFilters(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, path := range []string{"/v1/deliveries/cancel", "/v1/deliveries/retry"} {
		in, ok := d.post(path, `{"due_before":`+zero+`}`).is(http.StatusAccepted).(protocol.SweepInput)
		require.True(t, ok)
		require.Equal(t, new(time.Time{}), in.Filter.DueBefore)
		require.Nil(t, in.Filter.DueAfter)
		in, ok = d.post(path, `{"due_after":`+zero+`}`).is(http.StatusAccepted).(protocol.SweepInput)
		require.True(t, ok)
		require.Equal(t, new(time.Time{}), in.Filter.DueAfter)
		for _, counting := range d.post(path, `{"dry_run":true,"due_before":`+zero+`}`).passed {
			require.Contains(t, counting, "ExecutionTime < '0001-01-01T00:05:00Z'")
		}
	}
	for _, path := range []string{"/v1/deliveries", "/v1/schedules"} {
		w := d.do(http.MethodGet, path+"?due_before="+url.QueryEscape("0001-01-01T00:00:00Z"), "")
		require.Equal(t, http.StatusOK, w.Code, w.Body)
		require.NotEmpty(t, w.passed)
		for _, query := range w.passed {
			require.Contains(t, query, "ExecutionTime < '0001-01-01T00:05:00Z'")
		}
	}
}

func TestPresence_AllIsSaid(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, path := range []string{"/v1/deliveries/cancel", "/v1/deliveries/retry"} {
		for _, body := range []string{`{}`, `{"all":false}`, `{"dry_run":false}`} {
			p := d.post(path, body).refused(http.StatusUnprocessableEntity, "")
			require.Contains(t, p.Detail, `"all": true`)
		}
		for _, filter := range []string{
			`"endpoint":"ep_1"`, `"entity":"e"`, `"type":"t"`, `"due_before":"2027-01-01T00:00:00Z"`, `"due_after":"2027-01-01T00:00:00Z"`,
		} {
			d.post(path, `{"all":true,`+filter+`}`).refused(http.StatusUnprocessableEntity, "/all")
			d.post(path, `{`+filter+`}`).is(http.StatusAccepted)
			d.post(path, `{"all":false,`+filter+`}`).is(http.StatusAccepted)
		}
		in, ok := d.post(path, `{"all":true}`).is(http.StatusAccepted).(protocol.SweepInput)
		require.True(t, ok)
		require.False(t, in.Filter.DueBefore != nil || in.Filter.Entity != "" || in.Filter.Endpoint != "")
		require.Equal(t, http.StatusOK, d.post(path, `{"dry_run":true}`).Code, "counting does nothing")
		require.Equal(t, http.StatusOK, d.post(path, `{"dry_run":true,"all":true}`).Code)
	}
	d.post("/v1/deliveries/cancel", `{"state":"parked"}`).is(http.StatusAccepted)
	d.post("/v1/deliveries/cancel", `{"state":"parked","all":true}`).refused(http.StatusUnprocessableEntity, "/all")
}

// What is empty where a template's variable was is not what is not there.
func TestPresence_EmptyIsNotAbsent(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	const endpoint = `"url":"https://b.example/","event_types":["*"]`
	for _, test := range []struct{ method, path, body, pointer string }{
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":{"url":""}}`, "/to/url"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":{"endpoint":""}}`, "/to/endpoint"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":{"url":"","endpoint":"ep_1"}}`, "/to/url"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":{}}`, "/to"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":null}`, "/to"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","to":""}`, "/to"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","id":""}`, "/id"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","entity":""}`, "/entity"},
		{http.MethodPost, "/v1/schedules", `{"type":""}`, "/type"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","due_at":""}`, "/due_at"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","expires_at":null}`, "/expires_at"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","delay":""}`, "/delay"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","timeout":"0s"}`, "/timeout"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","retry":{"initial":"0s"}}`, "/retry/initial"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","retry":{"max_interval":"PT0S"}}`, "/retry/max_interval"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","retry":{"max_duration":"0s"}}`, "/retry/max_duration"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","retry":{"max_attempts":0}}`, "/retry/max_attempts"},
		{http.MethodPost, "/v1/schedules", `{"type":"t","retry":{"factor":0}}`, "/retry/factor"},
		{http.MethodPatch, "/v1/schedules/x", `{"due_at":""}`, "/due_at"},
		{http.MethodPost, "/v1/events", `{"type":"t","id":""}`, "/id"},
		{http.MethodPost, "/v1/events", `{"type":"t","timestamp":""}`, "/timestamp"},
		{http.MethodPost, "/v1/events", `{"type":"t","cloudevent":{"source":""}}`, "/cloudevent/source"},
		{http.MethodPost, "/v1/events/batch", `{"events":[{"type":"t","id":""}]}`, "/events/0/id"},
		{http.MethodPost, "/v1/events/batch", `{"events":[]}`, "/events"},
		{http.MethodPost, "/v1/endpoints", `{"url":"","event_types":["*"]}`, "/url"},
		{http.MethodPost, "/v1/endpoints", `{"url":"https://b.example/","event_types":[""]}`, "/event_types/0"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"timeout":"0s"}`, "/timeout"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"timeout":"-1s"}`, "/timeout"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"mode":""}`, "/mode"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"signature":""}`, "/signature"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"max_in_flight":0}`, "/max_in_flight"},
		{http.MethodPost, "/v1/endpoints", `{` + endpoint + `,"rate_limit":{}}`, "/rate_limit"},
		{http.MethodPatch, "/v1/endpoints/ep_1", `{"url":""}`, "/url"},
		{http.MethodPatch, "/v1/endpoints/ep_1", `{"timeout":"0s"}`, "/timeout"},
		{http.MethodPatch, "/v1/endpoints/ep_1", `{"mode":""}`, "/mode"},
		{http.MethodPatch, "/v1/endpoints/ep_1", `{"event_types":[]}`, "/event_types"},
		{http.MethodPost, "/v1/deliveries/cancel", `{"entity":""}`, "/entity"},
		{http.MethodPost, "/v1/deliveries/cancel", `{"endpoint":""}`, "/endpoint"},
		{http.MethodPost, "/v1/deliveries/cancel", `{"state":""}`, "/state"},
		{http.MethodPost, "/v1/deliveries/retry", `{"type":""}`, "/type"},
		{http.MethodPost, "/v1/deliveries/retry", `{"due_before":""}`, "/due_before"},
		{http.MethodPost, "/v1/keys", `{"scope":""}`, "/scope"},
		{http.MethodPost, "/v1/endpoints/ep_1/rotate_secret", `{"overlap":""}`, "/overlap"},
	} {
		d.do(test.method, test.path, test.body).refused(http.StatusUnprocessableEntity, test.pointer)
	}
	for _, query := range []string{"entity", "type", "state", "endpoint", "due_before", "due_after", "limit", "cursor"} {
		w := d.do(http.MethodGet, "/v1/deliveries?"+query+"=", "")
		w.refused(http.StatusUnprocessableEntity, "/"+query)
		w = d.do(http.MethodGet, "/v1/deliveries?"+query, "")
		w.refused(http.StatusUnprocessableEntity, "/"+query)
	}
	for _, path := range []string{"/v1/schedules", "/v1/events", "/v1/events/batch", "/v1/endpoints"} {
		for _, key := range []string{"", " ", `""`} {
			d.post(path, `{}`, "Idempotency-Key", key).refused(http.StatusUnprocessableEntity, "/Idempotency-Key")
		}
	}
	d.do(http.MethodGet, "/v1/schedules", "", "Postdate-Tenant", "").refused(http.StatusUnprocessableEntity, "/Postdate-Tenant")
	in, ok := d.post("/v1/schedules", `{"type":"t"}`).is(http.StatusCreated).(protocol.DeliverInput)
	require.True(t, ok)
	require.True(t, in.Shipment.To.Subscribers(), "without a destination it goes to those who are subscribed")
}
