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

	activities *activities.Activities
	passed     time.Duration // since now

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

	// permits says whether there is one. Without it there always is.
	permits  func(throttle.PermitRequest) bool
	refused  error // in the place of a permit
	requests []throttle.PermitRequest
	ended    []postdate.Outcome // what permits came to
	released []string
}

func (f *fakes) Acquire(_ context.Context, _ string, _ postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refused != nil {
		return nil, f.refused
	}
	if f.permits != nil && !f.permits(c) {
		return nil, throttle.ErrNoPermit
	}
	f.requests = append(f.requests, c)
	return func(made postdate.Attempt) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.ended = append(f.ended, made.Outcome)
	}, nil
}

// Queue has all wait in one line.
func (f *fakes) Enqueue(_ context.Context, all []protocol.EnqueueRequest) ([]string, error) {
	return make([]string, len(all)), nil
}

func (f *fakes) ReleaseDelivery(_ context.Context, _, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.released = append(f.released, id)
	return nil
}

func newFakes(t *testing.T, endpoints ...postdate.Endpoint) *fakes {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	f := &fakes{
		TestActivityEnvironment: suite.NewTestActivityEnvironment(), t: t,
		tenant: postdate.Tenant{Endpoints: endpoints, Secrets: postdate.ExpiringSecrets{
			{Secret: "whsec_new"}, {Secret: "whsec_old", Until: now.Add(-time.Second)},
		}},
		reported: map[string]postdate.Outcome{}, started: map[string]protocol.DeliverInput{},
	}
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 204}, nil
	}
	f.activities = &activities.Activities{
		Sender: f, Tenants: f, Starter: f, Publisher: f, Queue: f, Deliveries: f, AttemptLog: f, Limiter: f,
		Now: func() time.Time { return now.Add(f.passed) },
		Log: slog.New(slog.NewJSONHandler(&f.log, nil)),
	}
	f.activities.Register(f)
	return f
}

func (f *fakes) Tenant(context.Context, string) (*postdate.Tenant, error) { return &f.tenant, f.fault }

// Fresh knows of what was made just now.
func (f *fakes) Fresh(context.Context, string) (*postdate.Tenant, error) {
	fresh := f.tenant
	fresh.Endpoints = append(fresh.Endpoints, f.made...)
	return &fresh, f.fault
}

func (f *fakes) Report(_ context.Context, _, endpoint string, made postdate.Attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.reported[endpoint] = made.Outcome
}

func (f *fakes) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	return f.answer(ctx, m, to)
}

func (f *fakes) StartDelivery(_ context.Context, h protocol.DeliverInput, _ protocol.Accepted) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.busy {
		return errOurs
	}
	if f.onStart != nil {
		f.onStart()
	}
	f.started[h.Shipment.ID()] = h
	return nil
}

func (f *fakes) Started(_ context.Context, _, id string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, started := f.started[id]
	return started, nil
}

func (f *fakes) PublishSchedule(_ context.Context, _ string, e postdate.Event, _ string) (int, error) {
	f.published = append(f.published, e)
	return len(f.tenant.Endpoints), f.refusal
}

// run runs an activity and fills in what it answers.
func (f *fakes) run(name string, in, out any) error {
	f.t.Helper()
	answer, err := f.ExecuteActivity(name, in)
	if err != nil {
		return err
	}
	if out != nil {
		require.NoError(f.t, answer.Get(out))
	}
	return nil
}

func (f *fakes) send(s protocol.DeliveryTask) postdate.Attempt {
	f.t.Helper()
	var made postdate.Attempt
	require.NoError(f.t, f.run(protocol.SendActivity, s, &made))
	return made
}

// line is the one line that was logged.
func (f *fakes) line() map[string]any {
	f.t.Helper()
	var line map[string]any
	require.NoError(f.t, json.Unmarshal(f.log.Bytes(), &line))
	return line
}

func endpoint(id string, state postdate.EndpointState) postdate.Endpoint {
	return postdate.Endpoint{
		ID: id, URL: "https://" + id + ".example/secret-path", State: state, Mode: postdate.CloudEventsBinary,
		Headers: map[string]postdate.Secret{"x-team": "billing"}, Secrets: postdate.ExpiringSecrets{{Secret: "whsk_" + postdate.Secret(id)}},
	}
}

func task(to postdate.Destination) protocol.DeliveryTask {
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
