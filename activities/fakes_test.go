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
)

var now = time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)

// world is all that activities need, held in memory.
type world struct {
	activities.Engine
	*testsuite.TestActivityEnvironment
	t *testing.T

	// answer is what receivers say.
	answer func(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error)

	mu        sync.Mutex
	tenant    postdate.Tenant
	made      []postdate.Endpoint // which is not known everywhere yet
	fault     error               // of the directory
	reported  map[string]postdate.Outcome
	started   map[string]activities.Handover
	busy      bool   // nothing can be started
	onStart   func() // is called before anything is
	published []postdate.Event
	refusal   error // of a publication
	log       bytes.Buffer

	// turns says whether there is one. Without it there always is.
	turns    func(activities.Claim) bool
	claims   []activities.Claim
	ended    []postdate.Outcome // what turns came to
	released []string
}

func (w *world) Take(_ context.Context, _ string, _ postdate.Endpoint, c activities.Claim) (activities.Turn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.turns != nil && !w.turns(c) {
		return nil, nil //nolint:nilnil // no turn
	}
	w.claims = append(w.claims, c)
	return &turn{w}, nil
}

// Queue has all wait in one line.
func (w *world) Queue(_ context.Context, all []activities.Queued) ([]string, error) {
	return make([]string, len(all)), nil
}

type turn struct{ w *world }

func (t *turn) Done(made postdate.Attempt) {
	t.w.mu.Lock()
	defer t.w.mu.Unlock()
	t.w.ended = append(t.w.ended, made.Outcome)
}

func (w *world) ReleaseDelivery(_ context.Context, _, id string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.released = append(w.released, id)
	return nil
}

func newWorld(t *testing.T, endpoints ...postdate.Endpoint) *world {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	w := &world{
		TestActivityEnvironment: suite.NewTestActivityEnvironment(), t: t,
		tenant: postdate.Tenant{Endpoints: endpoints, Secrets: postdate.DatedSecrets{
			{Secret: "whsec_new"}, {Secret: "whsec_old", Until: now.Add(-time.Second)},
		}},
		reported: map[string]postdate.Outcome{}, started: map[string]activities.Handover{},
	}
	w.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 204}, nil
	}
	(&activities.Activities{
		Sender: w, Directory: w, Engine: w, Pacer: w, Now: func() time.Time { return now },
		Log: slog.New(slog.NewJSONHandler(&w.log, nil)),
	}).Register(w)
	return w
}

func (w *world) Tenant(context.Context, string) (*postdate.Tenant, error) { return &w.tenant, w.fault }

// Fresh knows of what was made just now.
func (w *world) Fresh(context.Context, string) (*postdate.Tenant, error) {
	fresh := w.tenant
	fresh.Endpoints = append(fresh.Endpoints, w.made...)
	return &fresh, w.fault
}

func (w *world) Report(_ context.Context, _, endpoint string, made postdate.Attempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.reported[endpoint] = made.Outcome
}

func (w *world) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	return w.answer(ctx, m, to)
}

func (w *world) StartDelivery(_ context.Context, h activities.Handover) error {
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

func (w *world) Started(_ context.Context, _, id string) (bool, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, started := w.started[id]
	return started, nil
}

func (w *world) Publish(_ context.Context, _ string, e postdate.Event, _ string) (int, error) {
	w.published = append(w.published, e)
	return len(w.tenant.Endpoints), w.refusal
}

// run runs an activity and fills in what it answers.
func (w *world) run(name string, in, out any) error {
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

func (w *world) send(s activities.Shipment) postdate.Attempt {
	w.t.Helper()
	var made postdate.Attempt
	require.NoError(w.t, w.run(activities.SendName, s, &made))
	return made
}

// line is the one line that was logged.
func (w *world) line() map[string]any {
	w.t.Helper()
	var line map[string]any
	require.NoError(w.t, json.Unmarshal(w.log.Bytes(), &line))
	return line
}

func endpoint(id string, state postdate.EndpointState) postdate.Endpoint {
	return postdate.Endpoint{
		ID: id, URL: "https://" + id + ".example/secret-path", State: state, Mode: postdate.CloudEventsBinary,
		Headers: map[string]postdate.Secret{"x-team": "billing"}, Secrets: postdate.DatedSecrets{{Secret: "whsk_" + postdate.Secret(id)}},
	}
}

func shipment(to postdate.Destination) activities.Shipment {
	return activities.Shipment{
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
