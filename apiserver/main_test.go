package apiserver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/pacer"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/internal/quotas"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/tenants"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

const (
	adminKey  = "an-admin-key"
	namespace = "default"
	uiURL     = "http://ui.example:8233"

	maxInFlight = 100
)

// The engine is real, and so is everything on it but who is sent to.
var (
	temporal   client.Client  // with a worker
	idle       client.Client  // of another engine, on which no worker runs
	configured *tenants.Store // on temporal
	senders    scripts

	quietLog = log.NewStructuredLogger(slog.New(slog.DiscardHandler))

	// What the engine keeps is encoded, as it is in production, so that nothing
	// is read but through the converters.
	encoded = converter.NewCodecDataConverter(converter.GetDefaultDataConverter(),
		converter.NewZlibCodec(converter.ZlibCodecOptions{AlwaysEncode: true}))
	failures = sdk.NewDefaultFailureConverter(sdk.DefaultFailureConverterOptions{
		DataConverter: encoded, EncodeCommonAttributes: true,
	})
)

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	var stop func()
	var err error
	if temporal, stop, err = startEngine(); err != nil {
		return 0, err
	}
	defer stop()
	if idle, stop, err = startEngine(); err != nil {
		return 0, err
	}
	defer stop()
	configured = newTenants(temporal)
	limiter := pacer.New(pacer.Config{
		Temporal: temporal, Tenants: configured, MaxInFlight: maxInFlight, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	defer limiter.Close()
	w := worker.New(worker.Config{
		Client: temporal, Sender: &senders, Tenants: configured, Ingester: newIngester(temporal, configured),
		Deliveries: newDeliveries(temporal, configured), Recurrences: newRecurrences(temporal, configured), Limiter: limiter, MaxInFlight: maxInFlight,
		Log: slog.New(slog.DiscardHandler), Slots: 100, StopTimeout: time.Second,
	})
	if err := w.Start(); err != nil {
		return 0, err
	}
	defer w.Stop()
	return m.Run(), nil
}

func startEngine() (client.Client, func(), error) {
	return enginetest.Start(func(o *client.Options) {
		o.DataConverter, o.FailureConverter = encoded, failures
		o.ConnectionOptions.DialOptions = []grpc.DialOption{grpc.WithChainUnaryInterceptor(noteDeletions)}
	})
}

// deleted holds the ids of the runs that the engine was asked to delete, and agreed.
var deleted sync.Map

func noteDeletions(
	ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption,
) error {
	err := invoke(ctx, method, request, reply, conn, options...)
	if deletion, ok := request.(*workflowservice.DeleteWorkflowExecutionRequest); ok && err == nil {
		deleted.Store(deletion.GetWorkflowExecution().GetRunId(), true)
	}
	return err
}

func newTenants(c client.Client) *tenants.Store {
	return tenants.New(tenants.Config{Temporal: c, DefaultSecret: "whsec_ZGVmYXVsdC1zZWNyZXQtb2YtdGVzdHMtMzItYnl0ZXM="})
}

func newExecutions(c client.Client) *executions.Client {
	return executions.New(executions.Config{Temporal: c, DataConverter: encoded, Namespace: namespace, EagerStart: true})
}

func newIngester(c client.Client, s *tenants.Store) *ingest.Ingester {
	return ingest.New(ingest.Config{Temporal: c, Executions: newExecutions(c), Tenants: s, Log: enginetest.Quiet})
}

func newDeliveries(c client.Client, s *tenants.Store, changes ...func(*deliveries.Config)) *deliveries.Store {
	conf := deliveries.Config{
		Temporal: c, Executions: newExecutions(c), Tenants: s, Log: enginetest.Quiet,
		WorkerPolling: func(ctx context.Context) (bool, error) { return worker.Polling(ctx, c) },
	}
	for _, change := range changes {
		change(&conf)
	}
	return deliveries.New(conf)
}

func newRecurrences(c client.Client, s *tenants.Store) *recurrences.Store {
	return recurrences.New(recurrences.Config{
		Temporal: c, Executions: newExecutions(c), Tenants: s, Starter: newIngester(c, s), Deliveries: newDeliveries(c, s),
	})
}

// config is the API's, as production has it.
func config(c client.Client) apiserver.Config {
	s := configured
	if c != temporal {
		s = newTenants(c)
	}
	unlimited, err := quotas.New(quotas.Config{Executions: newExecutions(c)})
	if err != nil {
		panic(err) // it measures nothing
	}
	return apiserver.Config{
		Quotas:   unlimited,
		Pulls:    pull.New(pull.Config{Temporal: c, Executions: newExecutions(c), Tenants: s, Deliveries: newDeliveries(c, s), Log: enginetest.Quiet}),
		Ingester: newIngester(c, s), Deliveries: newDeliveries(c, s), Recurrences: newRecurrences(c, s), Tenants: s, Namespace: namespace, UIURL: uiURL,
		AdminKeys: []string{adminKey},
		Log:       enginetest.Quiet,
		Version:   "v1.2.3",
	}
}

// api calls the API for one tenant.
type api struct {
	t       *testing.T
	ctx     context.Context //nolint:containedctx // of its requests
	handler http.Handler
	tenant  string
}

// newAPI is the API, for a tenant that no other test has.
func newAPI(t *testing.T, changes ...func(*apiserver.Config)) *api {
	t.Helper()
	return newAPIOn(t, temporal, changes...)
}

func newAPIOn(t *testing.T, c client.Client, changes ...func(*apiserver.Config)) *api {
	t.Helper()
	conf := config(c)
	for _, change := range changes {
		change(&conf)
	}
	handler, err := apiserver.New(conf)
	require.NoError(t, err)
	return &api{t: t, ctx: t.Context(), handler: handler, tenant: uuid.NewString()}
}

// answer is what the API answered.
type answer struct {
	*httptest.ResponseRecorder
	t *testing.T
}

// do makes a request. Headers are given as names and values.
func (a *api) do(method, path, body string, headers ...string) answer {
	a.t.Helper()
	r := httptest.NewRequestWithContext(a.ctx, method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+adminKey)
	r.Header.Set("Postdate-Tenant", a.tenant)
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Del(headers[i])
		if headers[i+1] != "" {
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	made := answer{ResponseRecorder: w, t: a.t}
	made.holdsTo(r)
	return made
}

// is holds the answer to a status.
func (w answer) is(status int) answer {
	w.t.Helper()
	require.Equal(w.t, status, w.Code, w.Body.String())
	return w
}

func (w answer) decode(into any) {
	w.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	decoder.DisallowUnknownFields()
	require.NoError(w.t, decoder.Decode(into), w.Body.String())
}

func (w answer) delivery() apiserver.Delivery {
	w.t.Helper()
	var d apiserver.Delivery
	w.decode(&d)
	return d
}

// problem holds the answer to being a problem of this status and code.
func (w answer) problem(status int, code postdate.Code) apiserver.Problem {
	w.t.Helper()
	w.is(status)
	require.Equal(w.t, "application/problem+json", w.Header().Get("Content-Type"))
	var p apiserver.Problem
	w.decode(&p)
	require.Equal(w.t, code, p.Code)
	require.Equal(w.t, status, p.Status)
	require.Equal(w.t, w.Header().Get("X-Request-Id"), p.RequestID)
	return p
}

// message is a schedule as a request has it; fields add to it or replace.
type message map[string]any

func (m message) String() string {
	body := map[string]any{"type": "test.happened", "to": map[string]string{"url": "https://b.example/hooks"}}
	maps.Copy(body, m)
	if to, ok := m["to"].(string); ok {
		body["to"] = map[string]string{"url": to}
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// dueAt is a body that says when.
func dueAt(value any) string {
	text, err := json.Marshal(map[string]any{"due_at": value})
	if err != nil {
		panic(err)
	}
	return string(text)
}

// create makes a schedule, of an id of its own unless m says otherwise.
func (a *api) create(m message) apiserver.Delivery {
	a.t.Helper()
	if _, ok := m["id"]; !ok {
		m["id"] = uuid.NewString()
	}
	return a.do(http.MethodPost, "/v1/schedules", m.String()).is(http.StatusCreated).delivery()
}

func (a *api) get(id string) apiserver.Delivery {
	a.t.Helper()
	return a.do(http.MethodGet, "/v1/schedules/"+id, "").is(http.StatusOK).delivery()
}

// ended waits until the delivery has ended, and gets it.
func (a *api) ended(id string) apiserver.Delivery {
	a.t.Helper()
	_ = temporal.GetWorkflow(a.t.Context(), protocol.ScheduleID(a.tenant, id), "").Get(a.t.Context(), nil)
	return a.get(id)
}

// becomes waits until the delivery is as holds says.
func (a *api) becomes(id string, holds func(apiserver.Delivery) bool) apiserver.Delivery {
	a.t.Helper()
	var d apiserver.Delivery
	eventually.True(a.t, func() bool { d = a.get(id); return holds(d) }, "%+v", &d)
	return d
}

func isRetrying(d apiserver.Delivery) bool {
	return d.State == postdate.Retrying && !d.NextAttemptAt.IsZero()
}

// list gets all pages of a list.
func (a *api) list(path string, filters ...string) []apiserver.DeliverySummary {
	a.t.Helper()
	values := url.Values{}
	for i := 0; i < len(filters); i += 2 {
		values.Set(filters[i], filters[i+1])
	}
	var rows []apiserver.DeliverySummary
	for {
		var page apiserver.DeliveryList
		a.do(http.MethodGet, path+"?"+values.Encode(), "").is(http.StatusOK).decode(&page)
		rows = append(rows, page.Data...)
		if !page.HasMore {
			return rows
		}
		values.Set("cursor", page.NextCursor)
	}
}

// listed waits until a list has n rows, for lists are a little behind.
func (a *api) listed(n int, filters ...string) []apiserver.DeliverySummary {
	a.t.Helper()
	var rows []apiserver.DeliverySummary
	eventually.True(a.t, func() bool {
		rows = a.list("/v1/deliveries", filters...)
		return len(rows) == n
	}, "%v: %d rows wanted: %v", filters, n, &rows)
	return rows
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second) }
