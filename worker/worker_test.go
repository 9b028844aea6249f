package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

var (
	engineClient client.Client
	receivers    sync.Map // of *receiverOf or subscribers, by message id
)

// TestMain runs one engine and one worker for all tests.
func TestMain(m *testing.M) {
	enginetest.Main(m, func() (func(), error) {
		started, stop, err := enginetest.Start(func(o *client.Options) { o.Identity = "recorder" })
		if err != nil {
			return nil, err
		}
		engineClient = started
		w := newWorker(engineClient)
		if err := w.Start(); err != nil {
			return nil, err
		}
		return func() { w.Stop(); stop() }, nil
	})
}

// newWorker is one that knows what tests have set up.
func newWorker(c client.Client, change ...func(*worker.Config)) *worker.Worker {
	silent, started := slog.New(slog.DiscardHandler), executions.New(executions.Config{Temporal: c})
	ingester := ingest.New(ingest.Config{Temporal: c, Executions: started, Tenants: directory{}, Log: silent})
	config := worker.Config{
		Client: c, Sender: sender{}, Tenants: directory{}, Limiter: pacer{}, Log: silent, Slots: 100, MaxInFlight: 100,
		Ingester: ingester, Deliveries: newDeliveries(c, started), Recurrences: newRecurrences(c, started, ingester),
	}
	for _, change := range change {
		change(&config)
	}
	return worker.New(config)
}

func newDeliveries(c client.Client, started *executions.Client) *deliveries.Store {
	return deliveries.New(deliveries.Config{
		Temporal: c, Executions: started, Tenants: directory{}, Log: slog.New(slog.DiscardHandler),
		WorkerPolling: func(context.Context) (bool, error) { return true, nil },
	})
}

func newRecurrences(c client.Client, started *executions.Client, starter recurrences.Starter) *recurrences.Store {
	return recurrences.New(recurrences.Config{
		Temporal: c, Executions: started, Tenants: directory{}, Starter: starter, Deliveries: newDeliveries(c, started),
	})
}

// sender asks the receiver that a test has registered for the message.
type sender struct{}

func (sender) Send(_ context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	if m.Tenant == postdate.OperatorTenant {
		return operatorReceives(m), nil
	}
	found, ok := receivers.Load(m.ID)
	if !ok { // of what shares an execution the id is not known before
		found, ok = receivers.Load(m.Tenant + " " + m.Entity)
	}
	if !ok {
		return postdate.Attempt{}, fmt.Errorf("no receiver for %s", m.ID)
	}
	began := time.Now()
	var attempt postdate.Attempt
	switch receiver := found.(type) {
	case *receiverOf:
		receiver.last.Store(&m)
		attempt = receiver.next()
	case subscribers:
		attempt = receiver(to.URL)
	}
	attempt.At, attempt.DurationMS = began.UTC(), time.Since(began).Milliseconds()
	return attempt, nil
}

// receiverOf answers the attempts at one message.
type receiverOf struct {
	mu      sync.Mutex
	made    int
	answer  func(n int) postdate.Attempt
	arrived chan int
	last    atomic.Pointer[postdate.Message]
}

func (r *receiverOf) next() postdate.Attempt {
	r.mu.Lock()
	r.made++
	n := r.made
	r.mu.Unlock()
	r.arrived <- n
	return r.answer(n)
}

var given atomic.Int64

// unique is an id for what a test makes, however often it is run.
func unique(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%s-%d", t.Name(), given.Add(1))
}

// delivery is one Deliver execution on the engine.
type delivery struct {
	*receiverOf
	t   *testing.T
	id  string
	run client.WorkflowRun
}

// deliver starts a delivery as the API does, to a receiver that answers so.
func deliver(t *testing.T, delay time.Duration, answer func(n int) postdate.Attempt, change ...func(*protocol.DeliverInput)) *delivery {
	t.Helper()
	exact := 0.0
	id := unique(t)
	due := time.Now().UTC().Add(delay)
	in := protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{
				ID: id, Tenant: "default", Type: "payment_request.due", Timestamp: due, Data: json.RawMessage(`{"amount":1}`),
			},
			To: postdate.Destination{URL: "https://b.example/hooks"}, DueAt: due,
			Timeout: postdate.Duration(postdate.DefaultTimeout),
		},
		Retry: postdate.Retry{Schedule: []postdate.Duration{
			postdate.Duration(time.Millisecond), postdate.Duration(time.Hour), postdate.Duration(time.Hour),
		}, Jitter: &exact},
	}
	for _, each := range change {
		each(&in)
	}
	d := &delivery{receiverOf: &receiverOf{answer: answer, arrived: make(chan int, 100)}, t: t, id: id}
	receivers.Store(id, d.receiverOf)
	var err error
	d.run, err = engineClient.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: protocol.ScheduleID(in.Shipment.Message.Tenant, id), TaskQueue: protocol.TaskQueue, StartDelay: max(0, delay),
	}, protocol.DeliverWorkflow, in)
	require.NoError(t, err)
	return d
}

func (d *delivery) update(name string, args ...any) (protocol.UpdateResult, error) {
	d.t.Helper()
	var result protocol.UpdateResult
	handle, err := engineClient.UpdateWorkflow(d.t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: d.run.GetID(), UpdateName: name, Args: args, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	if err == nil {
		err = handle.Get(d.t.Context(), &result)
	}
	return result, err
}

// status waits for the end of the newest run and answers how it ended.
func (d *delivery) end() (enumspb.WorkflowExecutionStatus, error) {
	d.t.Helper()
	err := engineClient.GetWorkflow(d.t.Context(), d.run.GetID(), "").Get(d.t.Context(), nil)
	return d.status(), err
}

func (d *delivery) status() enumspb.WorkflowExecutionStatus {
	d.t.Helper()
	described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
	require.NoError(d.t, err)
	return described.GetWorkflowExecutionInfo().GetStatus()
}

// backoff waits until a retry is pending, and answers its attempts.
func (d *delivery) backoff(attempts int) {
	d.t.Helper()
	for range attempts {
		<-d.arrived
	}
	eventually.True(d.t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
		require.NoError(d.t, err)
		for _, pending := range described.GetPendingActivities() {
			if pending.GetState() == enumspb.PENDING_ACTIVITY_STATE_SCHEDULED && int(pending.GetAttempt()) == attempts+1 {
				return true
			}
		}
		return false
	})
}

// awaitCancelRequest waits until the engine was asked to stop the pending retry.
func (d *delivery) awaitCancelRequest() {
	d.t.Helper()
	eventually.True(d.t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
		require.NoError(d.t, err)
		for _, pending := range described.GetPendingActivities() {
			if pending.GetState() == enumspb.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED {
				return true
			}
		}
		return false
	})
}

func (d *delivery) latestRun() string {
	d.t.Helper()
	described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
	require.NoError(d.t, err)
	return described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
}

// requireAsleepUntil holds that the newest run sleeps until due, and says so in
// the execution time that lists and the Web UI show.
func (d *delivery) requireAsleepUntil(due time.Time) {
	d.t.Helper()
	described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
	require.NoError(d.t, err)
	info := described.GetWorkflowExecutionInfo()
	require.NotEqual(d.t, d.run.GetRunID(), info.GetExecution().GetRunId())
	require.Equal(d.t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, info.GetStatus())
	require.WithinDuration(d.t, due, info.GetExecutionTime().AsTime(), time.Second)
}
