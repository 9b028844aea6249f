// Package fuzz throws anything at the API. It stands apart from the API's other
// tests, for they run on a real engine, and fuzzing would instrument all of it.
package fuzz

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/apiserver"
)

// acceptAll is an engine that accepts everything, and can do nothing else.
type acceptAll struct{ client.Client }

type acceptedRun struct{ client.WorkflowRun }

func (acceptAll) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return acceptedRun{}, nil
}

func (acceptedRun) GetID() string    { return "schedule/default/x" }
func (acceptedRun) GetRunID() string { return "run" }

func newHandler(f *testing.F) http.Handler {
	f.Helper()
	handler, err := apiserver.New(apiserver.Config{
		Temporal: acceptAll{}, AdminKey: "key", Log: slog.New(slog.DiscardHandler),
		SigningSecret: func(context.Context, string) (string, error) { return "", nil },
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
	})
	if err != nil {
		f.Fatal(err)
	}
	return handler
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
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest(http.MethodPost, "/v1/schedules", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer key")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		switch w.Code {
		case http.StatusCreated, http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		default:
			t.Errorf("%d: %s", w.Code, w.Body)
		}
	})
}
