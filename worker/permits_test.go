package worker_test

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/enginetest"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// refused holds, by tenant, how often a request for a permit is refused still.
var refused sync.Map // of *atomic.Int64

func refuse(t *testing.T, times int64) {
	t.Helper()
	left := new(atomic.Int64)
	left.Store(times)
	refused.Store(t.Name(), left)
}

// refusal is what the next request of a tenant gets instead of a permit: nil for none.
func refusal(tenant string) error {
	if left, ok := refused.Load(tenant); ok && left.(*atomic.Int64).Add(-1) >= 0 {
		return &throttle.NoPermitError{RetryAfter: 10 * time.Millisecond, Reason: "100 attempts are under way at this receiver already"}
	}
	return nil
}

func TestDeliveredOnceAPermitCame(t *testing.T) {
	t.Parallel()
	refuse(t, 3)
	d := deliver(t, 0, answers(postdate.Accepted, 204), func(in *protocol.DeliverInput) {
		in.Shipment.Message.Tenant = t.Name()
		in.Retry.Schedule = []postdate.Duration{} // one attempt
	})
	status, err := d.end()
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, status)
	var result protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &result))
	require.Len(t, result.Attempts, 1, "what was refused is no attempt")
	record(t, d)
}

func TestDeadThoughNoPermitCameBetweenItsAttempts(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n == 1 {
			refuse(t, 2)
		}
		return postdate.Attempt{Outcome: postdate.Failed, Status: 500}
	}, func(in *protocol.DeliverInput) {
		in.Shipment.Message.Tenant = t.Name()
		in.Retry.Schedule = in.Retry.Schedule[:1]
	})
	_, err := d.end()
	state, _, log := protocol.DecodeEnd(err, nil)
	require.Equal(t, postdate.Dead, state)
	require.Len(t, log, 2)
}

func TestTestedWithoutAPermit(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Enabled)
	refuse(t, 1)
	d := deliver(t, 0, answers(postdate.Accepted, 204), toEndpoint(t), func(in *protocol.DeliverInput) { in.Shipment.Test = true })
	status, err := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, status)
	require.Error(t, err)
	require.Empty(t, d.arrived)
	record(t, d)
}

// latencies records how long workflow tasks took, as the SDK measures it.
type latencies struct {
	client.MetricsHandler

	mu    *sync.Mutex
	tasks *[]time.Duration
}

func newLatencies() latencies {
	return latencies{client.MetricsNopHandler, new(sync.Mutex), new([]time.Duration)}
}

func (l latencies) WithTags(map[string]string) client.MetricsHandler { return l }

func (l latencies) Timer(name string) client.MetricsTimer {
	if name == "temporal_workflow_task_execution_latency" {
		return l
	}
	return l.MetricsHandler.Timer(name)
}

// Record implements [client.MetricsTimer].
func (l latencies) Record(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.tasks = append(*l.tasks, took)
}

// An endpoint that coalesces was stuck once more than ten thousand keys waited: its
// workflow tasks took longer than the SDK allows, and so did each replay of them.
func TestEndpointCoalescesBeyondItsBoundInShortTasks(t *testing.T) {
	t.Parallel()
	measured := newLatencies()
	c, stop, err := enginetest.Start(func(o *client.Options) { o.MetricsHandler = measured })
	require.NoError(t, err)
	defer stop()
	settings := protocol.EndpointSettings{Version: 1, State: postdate.Paused, Pace: postdate.Pace{InFlight: 10}, Coalesce: true}
	endpoint := signalSettings(t, c, settings)
	work := func() (stop func()) {
		w := newWorker(c)
		require.NoError(t, w.Start())
		return w.Stop
	}
	join := func(from, to int) {
		var joins errgroup.Group
		joins.SetLimit(8)
		for n := from; n < to; n++ {
			joins.Go(func() error {
				line := protocol.LineStatus{Tenant: t.Name(), Endpoint: "ep_1", ID: fmt.Sprintf("ln_%d", n), Waiting: 100, Since: time.Now()}
				for key := range 100 {
					line.Keys = append(line.Keys, fmt.Sprintf("customer-%d-%d", n, key))
				}
				handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
					WorkflowID: endpoint.GetID(), UpdateName: protocol.UpdateJoin, Args: []any{line}, WaitForStage: client.WorkflowUpdateStageCompleted,
				})
				if err != nil {
					return err
				}
				return handle.Get(t.Context(), nil)
			})
		}
		require.NoError(t, joins.Wait())
	}
	stopFirst := work()
	join(0, 150)
	stopFirst()
	defer work()()
	join(150, 300) // after another worker has replayed the first
	value, err := c.QueryWorkflow(t.Context(), endpoint.GetID(), "", protocol.QueryHealth)
	require.NoError(t, err)
	var health protocol.EndpointHealth
	require.NoError(t, value.Get(&health))
	require.Equal(t, 30_000, health.Waiting)
	require.Equal(t, "full", health.Coalescing)

	measured.mu.Lock()
	tasks := slices.Sorted(slices.Values(*measured.tasks))
	measured.mu.Unlock()
	require.Greater(t, len(tasks), 10)
	t.Logf("%d tasks: median %s, longest %s", len(tasks), tasks[len(tasks)/2], tasks[len(tasks)-1])
	require.Less(t, tasks[len(tasks)*9/10], 200*time.Millisecond)
}
