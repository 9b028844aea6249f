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
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/log"
	sdk "go.temporal.io/sdk/temporal"
	"google.golang.org/grpc"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/directory"
	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/ledger"
	"github.com/postdate/postdate/pacer"
	"github.com/postdate/postdate/worker"
	"github.com/postdate/postdate/workflows"
)

const (
	adminKey  = "an-admin-key"
	namespace = "default"
	uiURL     = "http://ui.example:8233"

	maxInFlight = 100
)

// The engine is real, and so is everything on it but who is sent to.
var (
	temporal client.Client        // with a worker
	idle     client.Client        // of another engine, on which no worker runs
	tenants  *directory.Directory // on temporal
	senders  scripts

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
	tenants = newDirectory(temporal)
	turns := pacer.New(pacer.Config{
		Temporal: temporal, Directory: tenants, MaxInFlight: maxInFlight, Log: slog.New(slog.DiscardHandler), Now: time.Now,
	})
	defer turns.Close()
	w := worker.New(worker.Config{
		Client: temporal, Sender: &senders, Directory: tenants, Engine: newLedger(temporal, tenants),
		Pacer: turns, MaxInFlight: maxInFlight,
		Log: slog.New(slog.DiscardHandler), Slots: 100, StopTimeout: time.Second,
	})
	if err := w.Start(); err != nil {
		return 0, err
	}
	defer w.Stop()
	return m.Run(), nil
}

func startEngine() (client.Client, func(), error) {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, key := range workflows.SearchAttributes {
		attributes[key.GetName()] = key.GetValueType()
	}
	started, err := engine.Start(context.Background(), engine.Config{
		Memory: true, Namespace: namespace, SearchAttributes: attributes, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		return nil, nil, err
	}
	c, err := client.Dial(client.Options{
		HostPort: started.Address(), Namespace: namespace, Logger: quietLog, DataConverter: encoded, FailureConverter: failures,
		ConnectionOptions: client.ConnectionOptions{DialOptions: []grpc.DialOption{grpc.WithChainUnaryInterceptor(noteDeletions)}},
	})
	if err != nil {
		started.Stop()
		return nil, nil, err
	}
	return c, func() { c.Close(); started.Stop() }, nil
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

func newDirectory(c client.Client) *directory.Directory {
	return directory.New(directory.Config{Temporal: c, DefaultSecret: "whsec_ZGVmYXVsdC1zZWNyZXQtb2YtdGVzdHMtMzItYnl0ZXM="})
}

func newLedger(c client.Client, d *directory.Directory) *ledger.Ledger {
	return ledger.New(ledger.Config{
		Temporal: c, DataConverter: encoded, Namespace: namespace, Directory: d, EagerStart: true,
		WorkerPolling: func(ctx context.Context) (bool, error) { return worker.Polling(ctx, c) },
		Log:           slog.New(slog.DiscardHandler),
	})
}

// config is the API's, as production has it.
func config(c client.Client) apiserver.Config {
	d := tenants
	if c != temporal {
		d = newDirectory(c)
	}
	return apiserver.Config{
		Ledger: newLedger(c, d), Directory: d, UIURL: uiURL,
		AdminKey: adminKey,
		Log:      slog.New(slog.DiscardHandler),
		Version:  "v1.2.3",
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
	_ = temporal.GetWorkflow(a.t.Context(), workflows.ScheduleID(a.tenant, id), "").Get(a.t.Context(), nil)
	return a.get(id)
}

// becomes waits until the delivery is as holds says.
func (a *api) becomes(id string, holds func(apiserver.Delivery) bool) apiserver.Delivery {
	a.t.Helper()
	var d apiserver.Delivery
	require.Eventually(a.t, func() bool { d = a.get(id); return holds(d) }, 15*time.Second, 10*time.Millisecond, "%+v", &d)
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
	require.Eventually(a.t, func() bool {
		rows = a.list("/v1/deliveries", filters...)
		return len(rows) == n
	}, 15*time.Second, 20*time.Millisecond, "%v: %d rows wanted: %v", filters, n, &rows)
	return rows
}

func tomorrow() time.Time { return time.Now().Add(24 * time.Hour).UTC().Truncate(time.Second) }
