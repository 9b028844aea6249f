package workflows_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// start is when every test begins. The environment skips the time that passes.
var start = time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)

// scriptedSender is a sender whose receiver answers one attempt after another as it is
// written, and accepts everything after that.
type scriptedSender struct {
	env     *testsuite.TestWorkflowEnvironment
	answers []postdate.Attempt
	during  func(n int) // called while attempt n is under way

	mu   sync.Mutex
	sent []sent
}

type sent struct {
	at      time.Time
	message postdate.Message
}

func (s *scriptedSender) Send(_ context.Context, m postdate.Message, _ postdate.Target) (postdate.Attempt, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.sent)
	s.sent = append(s.sent, sent{s.env.Now(), m})
	if s.during != nil {
		s.during(n + 1)
	}
	answer := postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
	if n < len(s.answers) {
		answer = s.answers[n]
	}
	answer.At = s.env.Now()
	return answer, nil
}

// times is how long after start each attempt was made.
func (s *scriptedSender) times() []time.Duration {
	var all []time.Duration
	for _, each := range s.sent {
		all = append(all, each.at.Sub(start).Round(time.Second))
	}
	return all
}

// fakeDeliveries stands in for the real one, which the test environment has not.
type fakeDeliveries struct {
	activities.Starter
	activities.Publisher
	activities.Queue
	activities.Deliveries
	activities.AttemptLog
	*scriptedSender
	published []postdate.Event
	fault     error // of the next publications

	busy     bool // no permit comes for what was not dequeued
	refusals int  // of the next requests for permits, which are to come again
	queued   []protocol.EnqueueRequest
}

func (e *fakeDeliveries) Acquire(_ context.Context, _ string, _ postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.refusals > 0 {
		e.refusals--
		return nil, &throttle.NoPermitError{RetryAfter: 40 * time.Second, Reason: "100 attempts are under way"}
	}
	if e.busy && !c.Dequeued {
		return nil, throttle.ErrNoPermit
	}
	return throttle.Unlimited, nil
}

func (e *fakeDeliveries) setBusy(busy bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.busy = busy
}

func (e *fakeDeliveries) Enqueue(_ context.Context, all []protocol.EnqueueRequest) ([]string, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queued = append(e.queued, all...)
	return []string{"line_1"}, nil
}

func (e *fakeDeliveries) PublishSchedule(ctx context.Context, tenant string, event postdate.Event, parent string) (int, error) {
	return e.Publish(ctx, tenant, event, parent)
}

func (e *fakeDeliveries) Publish(_ context.Context, tenant string, event postdate.Event, _ string) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	event.Entity = tenant + "/" + event.Entity
	e.published = append(e.published, event)
	return 3, e.fault
}

// fail has the next publications fail, with nil no more.
func (e *fakeDeliveries) fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = err
}

// news is what was published so far.
func (e *fakeDeliveries) news() []postdate.Event {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.published)
}

// PendingAttempts recalls what was sent.
func (e *fakeDeliveries) PendingAttempts(context.Context, string, string) (postdate.Attempts, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var log postdate.Attempts
	for i, each := range e.sent {
		attempt := e.answers[i]
		attempt.At = each.at
		log = log.Append(attempt)
	}
	return log, nil
}

// directory knows the tenants that a test has set up, and the operator's.
type directory struct {
	mu       sync.Mutex
	tenant   postdate.Tenant
	operator postdate.Tenant
}

func (d *directory) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	tenant := d.tenant
	if name == postdate.OperatorTenant {
		tenant = d.operator
	}
	return &tenant, nil
}

func (d *directory) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return d.Tenant(ctx, name)
}

func (*directory) Report(context.Context, string, string, postdate.Attempt) {}

// set gives the tenant an endpoint in that state.
func (d *directory) set(state postdate.EndpointState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tenant.Endpoints = []postdate.Endpoint{{ID: "ep_1", URL: "https://crm.example/hooks", State: state}}
}

type deliverEnv struct {
	*testsuite.TestWorkflowEnvironment
	*scriptedSender
	directory *directory
	engine    *fakeDeliveries
	t         *testing.T
}

func newDeliverEnv(t *testing.T, answers ...postdate.Attempt) *deliverEnv {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	env := suite.NewTestWorkflowEnvironment()
	env.SetStartTime(start)
	sender := &scriptedSender{env: env, answers: answers}
	e := &deliverEnv{env, sender, &directory{}, &fakeDeliveries{scriptedSender: sender}, t}
	workflows.Register(env)
	(&activities.Activities{
		Sender: sender, Tenants: e.directory, Starter: e.engine, Publisher: e.engine, Queue: e.engine, Deliveries: e.engine, AttemptLog: e.engine, Limiter: e.engine, Log: slog.New(slog.DiscardHandler), Now: env.Now,
	}).Register(env)
	return e
}

// silent keeps the engine's test double from telling each of its steps.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}

// deliver runs a delivery that is due after a while.
func (e *deliverEnv) deliver(due time.Duration, change ...func(*protocol.DeliverInput)) {
	in := message(due)
	for _, each := range change {
		each(&in)
	}
	e.ExecuteWorkflow(protocol.DeliverWorkflow, in)
	require.True(e.t, e.IsWorkflowCompleted())
}

func message(due time.Duration) protocol.DeliverInput {
	exact := 0.0
	retry := postdate.Retry{Schedule: []postdate.Duration{
		postdate.Duration(5 * time.Second), postdate.Duration(5 * time.Minute),
	}, Jitter: &exact}
	return protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{
				ID: "pr_1", Tenant: "default", Type: "payment_request.due",
				Timestamp: start.Add(due), Data: json.RawMessage(`{"amount":1}`),
			},
			To: postdate.Destination{URL: "https://b.example/hooks"}, DueAt: start.Add(due),
			Timeout: postdate.Duration(postdate.DefaultTimeout),
		},
		Retry: retry,
	}
}

// update sends an Update after a while, and answers where its answer will be.
func (e *deliverEnv) update(after time.Duration, name string, args ...any) *answer {
	got := &answer{t: e.t}
	e.RegisterDelayedCallback(func() { e.UpdateWorkflow(name, "", got, args...) }, after)
	return got
}

// answer is what became of an Update.
type answer struct {
	t       *testing.T
	done    bool
	result  protocol.UpdateResult
	refusal *postdate.Error
}

func (a *answer) Accept() {}

func (a *answer) Reject(err error) { a.refuse(err) }

func (a *answer) Complete(result any, err error) {
	a.done = true
	if err != nil {
		a.refuse(err)
		return
	}
	a.result = result.(protocol.UpdateResult)
}

func (a *answer) refuse(err error) {
	refusal, ok := protocol.DecodeError(err)
	require.True(a.t, ok, "an update fails for a reason only: %v", err)
	a.done, a.refusal = true, refusal
}

// requireDelivered is the log of a delivery that was delivered.
func (e *deliverEnv) requireDelivered() postdate.Attempts {
	e.t.Helper()
	require.NoError(e.t, e.GetWorkflowError())
	var result protocol.DeliverResult
	require.NoError(e.t, e.GetWorkflowResult(&result))
	return result.Attempts
}

// requireEnded is the log of one that ended otherwise, and why it did.
func (e *deliverEnv) requireEnded(state postdate.State) (string, postdate.Attempts) {
	e.t.Helper()
	got, reason, log := protocol.DecodeEnd(e.GetWorkflowError(), nil)
	require.Equal(e.t, state, got, "%v", e.GetWorkflowError())
	return reason, log
}

// requireContinued is what the next run of one that was put off is started with.
func (e *deliverEnv) requireContinued() (in protocol.DeliverInput, delay time.Duration) {
	e.t.Helper()
	var again *workflow.ContinueAsNewError
	require.ErrorAs(e.t, e.GetWorkflowError(), &again)
	require.NoError(e.t, dataConverter.FromPayloads(again.Input, &in))
	return in, again.BackoffStartInterval
}

func failed(status int) postdate.Attempt {
	return postdate.Attempt{Outcome: postdate.Failed, Status: status}
}
