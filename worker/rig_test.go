package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

// rig is an engine of its own, on which attempts are raced and receipts counted.
type rig struct {
	client.Client
	ingester *ingest.Ingester
	store    *deliveries.Store
	repeated *atomic.Int64 // attempts that the memory of the process answered
}

// newRig starts an engine and as many workers as there are configurations.
func newRig(t *testing.T, workers ...worker.Config) *rig {
	t.Helper()
	r := &rig{repeated: new(atomic.Int64)}
	c, stop, err := enginetest.Start(func(o *client.Options) {
		o.MetricsHandler = repeats{MetricsHandler: client.MetricsNopHandler, count: r.repeated}
	})
	require.NoError(t, err)
	t.Cleanup(stop)
	silent, started := slog.New(slog.DiscardHandler), executions.New(executions.Config{Temporal: c})
	r.Client = c
	r.ingester = ingest.New(ingest.Config{Temporal: c, Executions: started, Tenants: directory{}, Log: silent})
	r.store = deliveries.New(deliveries.Config{
		Temporal: c, Executions: started, Tenants: directory{}, Log: silent,
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
	})
	for _, config := range workers {
		t.Cleanup(r.startWorker(t, config))
	}
	return r
}

// runTogether runs tests that mostly wait, all at the same time. In parallel, as the test
// runner has them, as many would run as there are processors.
func runTogether(t *testing.T, tests map[string]func(*testing.T)) {
	t.Helper()
	var group sync.WaitGroup
	for name, test := range tests {
		group.Go(func() { t.Run(name, test) })
	}
	group.Wait()
}

// startWorker starts a worker, and returns what stops it.
func (r *rig) startWorker(t *testing.T, config worker.Config) (stop func()) {
	t.Helper()
	w := newWorker(r.Client, func(c *worker.Config) { c.StopTimeout, c.Slots = config.StopTimeout, 500 })
	require.NoError(t, w.Start())
	return sync.OnceFunc(w.Stop)
}

// repeats counts the attempts that were answered from memory.
type repeats struct {
	client.MetricsHandler

	count *atomic.Int64
}

func (r repeats) WithTags(map[string]string) client.MetricsHandler { return r }

func (r repeats) Counter(name string) client.MetricsCounter {
	if name == activities.RepeatedAttemptsMetric {
		return counter{r.count}
	}
	return r.MetricsHandler.Counter(name)
}

type counter struct{ count *atomic.Int64 }

func (c counter) Inc(n int64) { c.count.Add(n) }

// sending is one delivery of a tenant of its own, and its receiver, which counts.
type sending struct {
	*rig

	t          *testing.T
	tenant, id string
	workflowID string // of the execution that carries it
	due        time.Time
	version    int64 // of the endpoint's settings

	slow    time.Duration // how long the receiver takes
	failing int           // how many attempts fail first
	arrived chan time.Time
	mu      sync.Mutex
	receipt []time.Time
}

var tenants atomic.Int64

func (r *rig) newSending(t *testing.T, slow time.Duration) *sending {
	t.Helper()
	tenant := fmt.Sprintf("tenant-%d", tenants.Add(1))
	s := &sending{rig: r, t: t, tenant: tenant, slow: slow, arrived: make(chan time.Time, 1000)}
	s.setEndpoint(postdate.Enabled)
	return s
}

// receive is the receiver.
func (s *sending) receive(string) postdate.Attempt {
	s.mu.Lock()
	s.receipt = append(s.receipt, time.Now())
	n := len(s.receipt)
	s.mu.Unlock()
	s.arrived <- time.Now()
	time.Sleep(s.slow) // it is slow
	if n <= s.failing {
		return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
	}
	return accept("")
}

func (s *sending) receipts() []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.receipt
}

// setEndpoint gives the tenant its one endpoint, in that state.
func (s *sending) setEndpoint(state postdate.EndpointState) {
	endpoints.Store(s.tenant, []postdate.Endpoint{{
		ID: "ep_1", URL: "https://crm.example/hooks", State: state, EventTypes: []string{"*"}, Retry: retrySoon(),
	}})
}

func retrySoon() *postdate.Retry {
	exact := 0.0
	return &postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(1500 * time.Millisecond), postdate.Duration(time.Second)}, Jitter: &exact}
}

// signalSettings signals the settings of the endpoint to its execution.
func (s *sending) signalSettings(state postdate.EndpointState) {
	s.t.Helper()
	s.version++
	_, err := s.SignalWithStartWorkflow(s.t.Context(), protocol.EndpointID(s.tenant, "ep_1"), protocol.SignalSettings,
		protocol.EndpointSettings{Version: s.version, State: state, Pace: postdate.Pace{InFlight: 100}},
		protocol.EndpointOptions(s.tenant, "ep_1"), protocol.EndpointWorkflow, protocol.EndpointInput{Tenant: s.tenant, ID: "ep_1"})
	require.NoError(s.t, err)
}

// deliver starts a delivery to the endpoint with an execution of its own.
func (s *sending) deliver(delay time.Duration, change ...func(*protocol.DeliverInput)) {
	s.t.Helper()
	s.id = fmt.Sprintf("sch-%d", given.Add(1))
	s.due = time.Now().UTC().Add(delay)
	in := protocol.DeliverInput{Retry: *retrySoon()}
	in.Shipment.Message, in.Shipment.DueAt, in.Shipment.To = s.message(s.id), s.due, postdate.Destination{Endpoint: "ep_1"}
	for _, each := range change {
		each(&in)
	}
	receivers.Store(s.id, subscribers(s.receive))
	_, err := s.ingester.Start(s.t.Context(), in, protocol.Accepted{To: in.Shipment.To, At: time.Now()})
	require.NoError(s.t, err)
	s.workflowID = protocol.DeliveryID(s.tenant, s.id)
}

// share starts a delivery to the endpoint that shares an execution with another, which is
// accepted at once.
func (s *sending) share(delay time.Duration) {
	s.t.Helper()
	s.due = time.Now().UTC().Add(delay)
	receivers.Store(s.tenant+" ", subscribers(s.receive))
	receivers.Store(s.tenant+" other", subscribers(accept))
	both := make([]ingest.Unnamed, 2)
	for n := range both {
		in := protocol.DeliverInput{Retry: *retrySoon()}
		in.Shipment.Message, in.Shipment.DueAt, in.Shipment.To = s.message("made"), s.due, postdate.Destination{Endpoint: "ep_1"}
		if n == 1 {
			in.Shipment.Message.Entity = "other"
		}
		both[n] = ingest.Unnamed{Input: in, Accepted: protocol.Accepted{To: in.Shipment.To, At: time.Now()}}
	}
	created := s.ingester.StartAllUnnamed(s.t.Context(), both)
	require.NoError(s.t, created[0].Err)
	s.id, s.workflowID = created[0].Delivery.ID, created[0].Delivery.Execution.WorkflowID
	require.Equal(s.t, s.workflowID, created[1].Delivery.Execution.WorkflowID)
}

func (s *sending) message(id string) postdate.Message {
	return postdate.Message{
		ID: id, Tenant: s.tenant, Type: "payment_request.due", Timestamp: s.due, Data: json.RawMessage(`{"amount":1}`),
	}
}

// publish publishes an event, whose delivery a group carries.
func (s *sending) publish() client.WorkflowRun {
	s.t.Helper()
	event := fmt.Sprintf("evt-%d", given.Add(1))
	s.due = time.Now().UTC()
	receivers.Store(event, subscribers(s.receive))
	s.id = postdate.DeliveryID(event, "ep_1")
	in := protocol.DispatchInput{Digest: "d", At: s.due, Events: []protocol.Publication{{Message: s.message(event), Endpoints: []string{"ep_1"}}}}
	run, err := s.ExecuteWorkflow(s.t.Context(), protocol.DispatchOptions(protocol.EventID(s.tenant, event), in), protocol.DispatchWorkflow, in)
	require.NoError(s.t, err)
	s.workflowID = run.GetID()
	return run
}

// get reads the delivery.
func (s *sending) get() postdate.Delivery {
	s.t.Helper()
	read, err := s.store.Get(s.t.Context(), s.tenant, s.id)
	require.NoError(s.t, err)
	return read
}

// await waits until the delivery is in one of these states.
func (s *sending) await(states ...postdate.State) (read postdate.Delivery) {
	s.t.Helper()
	last := &read
	eventually.True(s.t, func() bool {
		read = s.get()
		return slices.Contains(states, read.State)
	}, "it never was %v: it is %+v", states, last)
	return read
}

// sweep does one thing to all deliveries to the endpoint, as the tenant's execution does.
func (s *sending) sweep(action protocol.SweepAction) {
	s.t.Helper()
	in := protocol.SweepInput{Action: action, Filter: postdate.Filter{Tenant: s.tenant, Endpoint: "ep_1"}}
	var err error
	eventually.True(s.t, func() bool { // a tenant has one operation at a time
		err = s.store.StartOperation(s.t.Context(), s.tenant, fmt.Sprintf("swp-%d", given.Add(1)), in)
		return postdate.CodeOf(err) != postdate.Conflict
	}, "the operation before never finished")
	require.NoError(s.t, err)
}

// resume enables the endpoint, and releases what waits for it.
func (s *sending) resume() {
	s.t.Helper()
	s.setEndpoint(postdate.Enabled)
	s.signalSettings(postdate.Enabled)
	s.sweep(protocol.SweepRelease)
}

// requireOneWinner holds that the delivery has ended, that its log has every receipt once,
// and that its state is what the log says.
func (s *sending) requireOneWinner() postdate.Delivery {
	s.t.Helper()
	read := s.await(postdate.Delivered, postdate.Cancelled, postdate.Dead, postdate.Expired)
	require.Len(s.t, s.receipts(), len(read.Attempts), "%s %s: each receipt is recorded once", read.State, read.Reason)
	accepted := len(read.Attempts) > 0 && read.Attempts.Last().Outcome == postdate.Accepted
	require.Equal(s.t, accepted, read.State == postdate.Delivered, "%s: %s", read.State, read.Reason)
	return read
}
