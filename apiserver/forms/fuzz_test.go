package forms

import (
	"net/http"
	"slices"
	"testing"
)

// sends makes a request, and holds the answer to these statuses.
func sends(t *testing.T, d *door, path, contentType, body string, statuses ...int) {
	t.Helper()
	w := d.of(t).post(path, body, "Content-Type", contentType)
	if !slices.Contains(statuses, w.Code) {
		t.Errorf("%d: %s", w.Code, w.Body)
	}
}

// Whatever is sent, it is accepted or refused, and never a failure of ours.
func FuzzCreateSchedule(f *testing.F) {
	const to = `"to":{"url":"https://b.example/hooks"}`
	for _, seed := range []string{
		"", "null", "[]", "{}", `{"type":"t",` + to + `}`,
		`{"id":"a:b","entity":"e","type":"t","data":[1.5,null,"ä"],"delay":"P1DT2H","timeout":"1m",` + to + `}`,
		`{"type":"t","due_at":"2027-01-01T09:00:00+14:00","expires_at":"9999-12-31T23:59:59-23:59",` + to + `}`,
		`{"type":"t","retry":{"schedule":["5s","PT1M"],"jitter":0.5},` + to + `}`,
		`{"type":"t","retry":{"initial":"1s","factor":1e308,"max_attempts":1e9,"max_duration":"-1h"},` + to + `}`,
		`{"type":"t","to":{"url":"https://[::1]:99999/%zz"},"data":1e999}`,
		`{"type":"t","type":"u","data":{"a":1,"a":2},` + to + `}`,
		`{"TYPE":"t","To":{"URL":"https://b.example"}}`,
	} {
		f.Add(seed)
	}
	d := newDoor(f)
	f.Fuzz(func(t *testing.T, body string) {
		sends(t, d, "/v1/schedules", "application/json", body,
			http.StatusCreated, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity)
	})
}

func FuzzPublishEvent(f *testing.F) {
	for _, seed := range []struct{ contentType, body string }{
		{"application/json", `{"id":"evt_1","type":"t","entity":"e","timestamp":"2027-01-01T09:00:00Z","data":[1.50]}`},
		{"application/json", `{"type":"t","cloudevent":{"source":"/s","extensions":{"a":1}}}`},
		{"application/cloudevents+json", `{"specversion":"1.0","id":"a","source":"/s","type":"t","subject":"e","data":{"a":1}}`},
		{"application/cloudevents+json", `{"specversion":"1.0","id":"a","source":"/s","type":"t","data_base64":"AA==","x":null}`},
		{"application/cloudevents+json; charset=utf-8", `[]`},
		{"text/plain", "{}"},
	} {
		f.Add(seed.contentType, seed.body)
	}
	d := newDoor(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		sends(t, d, "/v1/events", contentType, body, http.StatusAccepted, http.StatusBadRequest,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	})
}
