// Package fuzz throws anything at the API. It stands apart from the API's other
// tests, for they run on a real engine, and fuzzing would instrument all of it.
package fuzz

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"go.temporal.io/api/serviceerror"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/tenants"
)

// acceptAll is an engine that accepts everything, and can do nothing else.
type acceptAll struct{ client.Client }

type acceptedRun struct{ client.WorkflowRun }

func (acceptAll) ExecuteWorkflow(context.Context, client.StartWorkflowOptions, any, ...any) (client.WorkflowRun, error) {
	return acceptedRun{}, nil
}

func (acceptedRun) GetID() string    { return "schedule/default/x" }
func (acceptedRun) GetRunID() string { return "run" }

// DescribeWorkflowExecution knows no execution.
func (acceptAll) DescribeWorkflowExecution(context.Context, string, string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	return nil, serviceerror.NewNotFound("no such workflow")
}

// QueryWorkflow knows no tenant.
func (acceptAll) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	return nil, serviceerror.NewNotFound("no such workflow")
}

func newHandler(f *testing.F) http.Handler {
	f.Helper()
	log := slog.New(slog.DiscardHandler)
	configured := tenants.New(tenants.Config{Temporal: acceptAll{}, DefaultSecret: "whsec_", Log: log})
	started := executions.New(executions.Config{Temporal: acceptAll{}})
	ingester := ingest.New(ingest.Config{Temporal: acceptAll{}, Executions: started, Tenants: configured, Log: log})
	read := deliveries.New(deliveries.Config{
		Temporal: acceptAll{}, Executions: started, Tenants: configured, Log: log,
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
	})
	handler, err := apiserver.New(apiserver.Config{
		AdminKey: "key", Log: log, Tenants: configured, Ingester: ingester, Deliveries: read,
		Recurrences: recurrences.New(recurrences.Config{
			Temporal: acceptAll{}, Executions: started, Tenants: configured, Starter: ingester, Deliveries: read,
		}),
	})
	if err != nil {
		f.Fatal(err)
	}
	return handler
}

// post sends body, and holds the answer to these statuses.
func post(t *testing.T, handler http.Handler, path, contentType, body string, statuses ...int) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer key")
	r.Header.Set("Content-Type", contentType)
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
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
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, body string) {
		post(t, handler, "/v1/schedules", "application/json", body,
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
	handler := newHandler(f)
	f.Fuzz(func(t *testing.T, contentType, body string) {
		post(t, handler, "/v1/events", contentType, body, http.StatusAccepted, http.StatusBadRequest,
			http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	})
}
