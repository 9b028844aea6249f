// Package forms holds requests to their form: what is refused at the door and
// what passes it, and as what. It stands apart from the API's other tests, for
// they run on a real engine, which these do not need and fuzzing would instrument.
package forms

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/serviceerror"
	workflowpb "go.temporal.io/api/workflow/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/internal/quotas"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/tenants"
	"github.com/postdate/postdate/protocol"
)

// acceptAll is an engine that accepts everything, remembers what, and can do
// nothing else. Each tenant has one endpoint, ep_1.
type acceptAll struct {
	client.Client

	mu sync.Mutex
	// accepted are the inputs of executions, and the arguments of Updates.
	accepted []any
}

func (e *acceptAll) accept(what any) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.accepted = append(e.accepted, what)
}

// taken answers what was accepted since it was called last.
func (e *acceptAll) taken() []any {
	e.mu.Lock()
	defer e.mu.Unlock()
	taken := e.accepted
	e.accepted = nil
	return taken
}

type acceptedRun struct{ client.WorkflowRun }

func (acceptedRun) GetID() string    { return "schedule/default/x" }
func (acceptedRun) GetRunID() string { return "run" }

func (e *acceptAll) ExecuteWorkflow(_ context.Context, _ client.StartWorkflowOptions, _ any, args ...any) (client.WorkflowRun, error) {
	e.accept(args[0])
	return acceptedRun{}, nil
}

// acceptedUpdate answers an endpoint that was created or changed.
type acceptedUpdate struct {
	client.WorkflowUpdateHandle
	arg any
}

func (u acceptedUpdate) Get(_ context.Context, answer any) error {
	changed, ok := answer.(*protocol.TenantChanged)
	if !ok {
		return nil
	}
	endpoint := endpoint()
	if created, ok := u.arg.(postdate.Endpoint); ok {
		endpoint = created
	}
	*changed = protocol.TenantChanged{Created: true, Endpoint: &endpoint}
	return nil
}

func (e *acceptAll) UpdateWorkflow(_ context.Context, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	var arg any
	if len(options.Args) > 0 {
		arg = options.Args[0]
	}
	e.accept(arg)
	return acceptedUpdate{arg: arg}, nil
}

func (e *acceptAll) NewWithStartWorkflowOperation(client.StartWorkflowOptions, any, ...any) client.WithStartWorkflowOperation {
	return nil
}

func (e *acceptAll) UpdateWithStartWorkflow(ctx context.Context, options client.UpdateWithStartWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	return e.UpdateWorkflow(ctx, options.UpdateOptions)
}

func (e *acceptAll) SignalWorkflow(context.Context, string, string, string, any) error { return nil }

func (e *acceptAll) DescribeWorkflowExecution(_ context.Context, id, _ string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	if id == protocol.TenantID(postdate.DefaultTenant) {
		return &workflowservice.DescribeWorkflowExecutionResponse{WorkflowExecutionInfo: &workflowpb.WorkflowExecutionInfo{HistoryLength: 1}}, nil
	}
	return nil, serviceerror.NewNotFound("no such workflow")
}

func (e *acceptAll) ListWorkflow(_ context.Context, r *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	if !strings.Contains(r.GetQuery(), protocol.SweepWorkflow) { // whether an operation runs
		e.accept(r.GetQuery())
	}
	return &workflowservice.ListWorkflowExecutionsResponse{}, nil
}

func (e *acceptAll) CountWorkflow(context.Context, *workflowservice.CountWorkflowExecutionsRequest) (*workflowservice.CountWorkflowExecutionsResponse, error) {
	return &workflowservice.CountWorkflowExecutionsResponse{}, nil
}

type encoded struct{ value any }

func (e encoded) HasValue() bool { return true }

func (e encoded) Get(into any) error {
	text, err := json.Marshal(e.value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (e *acceptAll) QueryWorkflow(context.Context, string, string, string, ...any) (converter.EncodedValue, error) {
	return encoded{protocol.TenantRead{Tenant: &postdate.Tenant{Version: 1, Endpoints: []postdate.Endpoint{endpoint()}}}}, nil
}

func endpoint() postdate.Endpoint {
	return postdate.Endpoint{
		ID: "ep_1", URL: "https://b.example/hooks", EventTypes: []string{"*"},
		Mode: postdate.Standard, Signature: postdate.HMAC, State: postdate.Enabled,
		Secrets: postdate.ExpiringSecrets{{Secret: "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="}},
	}
}

// now is when everything is asked for.
var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// door is the API before an engine that accepts everything.
type door struct {
	t       testing.TB
	engine  *acceptAll
	handler http.Handler
}

func newDoor(tb testing.TB) *door {
	tb.Helper()
	log, engine := slog.New(slog.DiscardHandler), new(acceptAll)
	clock := func() time.Time { return now }
	public := guard.New(guard.Config{})
	configured := tenants.New(tenants.Config{Temporal: engine, DefaultSecret: "whsec_", Log: log})
	started := executions.New(executions.Config{Temporal: engine})
	ingester := ingest.New(ingest.Config{Temporal: engine, Executions: started, Tenants: configured, Log: log, Now: clock})
	store := deliveries.New(deliveries.Config{
		Temporal: engine, Executions: started, Tenants: configured, Log: log, Now: clock,
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
	})
	unlimited, err := quotas.New(quotas.Config{Executions: started, Now: clock})
	require.NoError(tb, err)
	handler, err := apiserver.New(apiserver.Config{
		AdminKeys: []string{"key"}, Quotas: unlimited, Log: log, Tenants: configured, Now: clock,
		CheckURL: func(_ string, u *url.URL) error { return public.CheckURL(u) },
		Ingester: ingester, Deliveries: store,
		Pulls: pull.New(pull.Config{Temporal: engine, Executions: started, Tenants: configured, Deliveries: store, Log: log}),
		Recurrences: recurrences.New(recurrences.Config{
			Temporal: engine, Executions: started, Tenants: configured, Starter: ingester, Deliveries: store, Now: clock,
		}),
	})
	require.NoError(tb, err)
	return &door{t: tb, engine: engine, handler: handler}
}

// of is d for another test, which does not run at the same time.
func (d *door) of(tb testing.TB) *door {
	tb.Helper()
	return &door{t: tb, engine: d.engine, handler: d.handler}
}

// answer is what the API answered, and what passed.
type answer struct {
	*httptest.ResponseRecorder
	t      testing.TB
	passed []any
}

// do makes a request. Headers are given as names and values.
func (d *door) do(method, path, body string, headers ...string) answer {
	d.t.Helper()
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer key")
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header[http.CanonicalHeaderKey(headers[i])] = append(r.Header[http.CanonicalHeaderKey(headers[i])], headers[i+1])
	}
	w := httptest.NewRecorder()
	d.handler.ServeHTTP(w, r)
	return answer{ResponseRecorder: w, t: d.t, passed: d.engine.taken()}
}

func (d *door) post(path, body string, headers ...string) answer {
	d.t.Helper()
	return d.do(http.MethodPost, path, body, headers...)
}

// refused holds the answer to a problem with that field, "" for none, and to
// nothing having passed.
func (w answer) refused(status int, pointer string) apiserver.Problem {
	w.t.Helper()
	require.Equal(w.t, status, w.Code, w.Body.String())
	require.Empty(w.t, w.passed)
	var p apiserver.Problem
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	require.NoError(w.t, decoder.Decode(&p))
	if pointer == "" {
		require.Empty(w.t, p.Errors, w.Body.String())
		return p
	}
	require.NotEmpty(w.t, p.Errors, w.Body.String())
	require.Equal(w.t, pointer, p.Errors[0].Pointer, w.Body.String())
	return p
}

// is holds the answer to a status, and answers the one thing that passed.
func (w answer) is(status int) any {
	w.t.Helper()
	require.Equal(w.t, status, w.Code, w.Body.String())
	require.Len(w.t, w.passed, 1)
	return w.passed[0]
}

// message is the one message that passed, of a schedule or of an event.
func (w answer) message(status int) postdate.Message {
	w.t.Helper()
	switch in := w.is(status).(type) {
	case protocol.DeliverInput:
		return in.Shipment.Message
	case protocol.DispatchInput:
		require.Len(w.t, in.Events, 1)
		return in.Events[0].Message
	default:
		require.Fail(w.t, "no message passed", "%T", in)
		return postdate.Message{}
	}
}
