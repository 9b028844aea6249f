package activities_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// fakes is all that activities need, held in memory.
type fakes struct {
	activities.Starter
	activities.Publisher
	activities.Queue
	activities.Deliveries
	activities.AttemptLog
	*testsuite.TestActivityEnvironment
	t *testing.T

	// answer is what receivers say.
	answer func(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error)

	mu        sync.Mutex
	tenant    postdate.Tenant
	made      []postdate.Endpoint // which is not known everywhere yet
	fault     error               // of the directory
	reported  map[string]postdate.Outcome
	started   map[string]protocol.DeliverInput
	busy      bool   // nothing can be started
	onStart   func() // is called before anything is
	published []postdate.Event
	refusal   error // of a publication
	log       bytes.Buffer

	// turns says whether there is one. Without it there always is.
	turns    func(throttle.PermitRequest) bool
	claims   []throttle.PermitRequest
	ended    []postdate.Outcome // what turns came to
	released []string
}

func (w *fakes) Acquire(_ context.Context, _ string, _ postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns != nil && !w.turns(c) {
		return nil, throttle.ErrNoPermit
	}
	w.claims = append(w.claims, c)
	return func(made postdate.Attempt) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.ended = append(w.ended, made.Outcome)
	}, nil
}

// Queue has all wait in one line.
func (w *fakes) Enqueue(_ context.Context, all []protocol.EnqueueRequest) ([]string, error) {
	return make([]string, len(all)), nil
}

func (w *fakes) ReleaseDelivery(_ context.Context, _, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = append(w.released, id)
	return nil
}

func newWorld(t *testing.T, endpoints ...postdate.Endpoint) *fakes {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	w := &fakes{
		TestActivityEnvironment: suite.NewTestActivityEnvironment(), t: t,
		tenant: postdate.Tenant{Endpoints: endpoints, Secrets: postdate.ExpiringSecrets{
			{Secret: "whsec_new"}, {Secret: "whsec_old", Until: now.Add(-time.Second)},
		}},
		reported: map[string]postdate.Outcome{}, started: map[string]protocol.DeliverInput{},
	}
	w.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 204}, nil
	}
	(&activities.Activities{
		Sender: w, Tenants: w, Starter: w, Publisher: w, Queue: w, Deliveries: w, AttemptLog: w, Limiter: w, Now: func() time.Time { return now },
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)),
	}).Register(w)
	return w
}

func (w *fakes) Tenant(context.Context, string) (*postdate.Tenant, error) { return &w.tenant, w.fault }

// Fresh knows of what was made just now.
func (w *fakes) Fresh(context.Context, string) (*postdate.Tenant, error) {
	fresh := w.tenant
	fresh.Endpoints = append(fresh.Endpoints, w.made...)
	return &fresh, w.fault
}

func (w *fakes) Report(_ context.Context, _, endpoint string, made postdate.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reported[endpoint] = made.Outcome
}

func (w *fakes) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	return w.answer(ctx, m, to)
}

func (w *fakes) StartDelivery(_ context.Context, h protocol.DeliverInput, _ protocol.Accepted) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.busy {
		return errOurs
	}
	if w.onStart != nil {
		w.onStart()
	}
	w.started[h.Shipment.ID()] = h
	return nil
}

func (w *fakes) Started(_ context.Context, _, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, started := w.started[id]
	return started, nil
}

func (w *fakes) Publish(_ context.Context, _ string, e postdate.Event, _ string) (int, error) {
	w.published = append(w.published, e)
	return len(w.tenant.Endpoints), w.refusal
}

// run runs an activity and fills in what it answers.
func (w *fakes) run(name string, in, out any) error {
	w.t.Helper()
	answer, err := w.ExecuteActivity(name, in)
	if err != nil {
		return err
	}
	if out != nil {
		require.NoError(w.t, answer.Get(out))
	}
	return nil
}

func (w *fakes) send(s protocol.DeliveryTask) postdate.Attempt {
	w.t.Helper()
	var made postdate.Attempt
	require.NoError(w.t, w.run(protocol.SendActivity, s, &made))
	return made
}

// line is the one line that was logged.
func (w *fakes) line() map[string]any {
	w.t.Helper()
	var line map[string]any
	require.NoError(w.t, json.Unmarshal(w.log.Bytes(), &line))
	return line
}

func endpoint(id string, state postdate.EndpointState) postdate.Endpoint {
	return postdate.Endpoint{
		ID: id, URL: "https://" + id + ".example/secret-path", State: state, Mode: postdate.CloudEventsBinary,
		Headers: map[string]postdate.Secret{"x-team": "billing"}, Secrets: postdate.ExpiringSecrets{{Secret: "whsk_" + postdate.Secret(id)}},
	}
}

func shipment(to postdate.Destination) protocol.DeliveryTask {
	return protocol.DeliveryTask{
		Message: postdate.Message{
			ID: "evt_1", Tenant: "acme", Type: "invoice.paid", Entity: "customer_42", Data: json.RawMessage(`1`), TraceParent: "00-1-2-01",
		},
		To: to, DueAt: now.Add(-time.Second),
	}
}

var errOurs = errors.New("a fault of our own")

// silent keeps the engine's test double from telling each of its steps.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
