package backlog_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/backlog"
)

const limit = 15 * time.Minute

// queue is the task queue as the test says.
type queue struct {
	mu    sync.Mutex
	tasks int64
	age   time.Duration
	fails error
}

func (q *queue) set(tasks int64, age time.Duration, fails error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tasks, q.age, q.fails = tasks, age, fails
}

func (q *queue) describe(_ context.Context, kind enumspb.TaskQueueType) (*taskqueuepb.TaskQueueStats, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if kind == enumspb.TASK_QUEUE_TYPE_ACTIVITY {
		return &taskqueuepb.TaskQueueStats{}, q.fails
	}
	return &taskqueuepb.TaskQueueStats{ApproximateBacklogCount: q.tasks, ApproximateBacklogAge: durationpb.New(q.age)}, q.fails
}

// watching runs a watch of a queue.
func watching(t *testing.T, q *queue, limit time.Duration) *backlog.Watch {
	t.Helper()
	w, err := backlog.New(backlog.Config{Describe: q.describe, Limit: limit})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { w.Run(ctx) })
	t.Cleanup(func() { stop(); running.Wait() })
	return w
}

func TestCheck_RefusesWhatIsDueNowWhereWorkersAreFarBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q queue
		w := watching(t, &q, limit)
		q.set(50_000, 20*time.Minute, nil)
		time.Sleep(time.Minute)
		err := w.Check(time.Now())
		require.Equal(t, postdate.Overloaded, postdate.CodeOf(err))
		var refusal *postdate.Error
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 30*time.Second, refusal.RetryAfter)
		require.NoError(t, w.Check(time.Now().Add(time.Hour)), "what is due later is kept")

		q.set(50_000, 14*time.Minute, nil)
		time.Sleep(11 * time.Second)
		require.NoError(t, w.Check(time.Now()))
	})
}

// A machine that is slow has a backlog of seconds or minutes, and a task that nobody needs
// any more is seen once.
func TestCheck_RefusesNothingOtherwise(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		tasks int64
		age   time.Duration
		fails error
		limit time.Duration
		look  time.Duration
	}{
		"slow":             {100_000, 14 * time.Minute, nil, limit, time.Hour},
		"seen twice":       {1, time.Hour, nil, limit, 15 * time.Second},
		"nothing waits":    {0, time.Hour, nil, limit, time.Hour},
		"no limit":         {100_000, time.Hour, nil, 0, time.Hour},
		"Temporal is away": {100_000, time.Hour, errors.New("away"), limit, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var q queue
				q.set(test.tasks, test.age, test.fails)
				w := watching(t, &q, test.limit)
				time.Sleep(test.look)
				require.NoError(t, w.Check(time.Now()))
			})
		})
	}
}

func TestMetrics_SayHowFarWorkersAreBehind(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q queue
		q.set(12, 90*time.Second, nil)
		reader := sdkmetric.NewManualReader()
		w, err := backlog.New(backlog.Config{
			Describe: q.describe, Meter: sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test"),
		})
		require.NoError(t, err)
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		w.Run(ctx)

		var collected metricdata.ResourceMetrics
		require.NoError(t, reader.Collect(t.Context(), &collected))
		age, tasks := 0.0, int64(0)
		for _, m := range collected.ScopeMetrics[0].Metrics {
			switch data := m.Data.(type) {
			case metricdata.Gauge[float64]:
				for _, point := range data.DataPoints {
					age += point.Value
				}
			case metricdata.Gauge[int64]:
				for _, point := range data.DataPoints {
					tasks += point.Value
				}
			}
		}
		require.InDelta(t, 90, age, 0)
		require.Equal(t, int64(12), tasks)
	})
}
