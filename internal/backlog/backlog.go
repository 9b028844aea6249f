// Package backlog watches how far Temporal's task queue of deliveries is behind, and refuses
// what is due now where that is so far that accepting more helps nobody.
package backlog

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	enumspb "go.temporal.io/api/enums/v1"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// interval is how far apart looks at the task queue are.
	interval = 10 * time.Second
	// lookTimeout bounds a look.
	lookTimeout = 5 * time.Second
	// confirmations is how many looks in a row must find the queue behind: the age of a
	// backlog is that of its oldest task, which may be one that nobody needs any more and
	// that the next poll removes.
	confirmations = 3
	// retryAfter is when callers that are refused may try again.
	retryAfter = 30 * time.Second
)

// Config is what a [Watch] needs.
type Config struct {
	// Describe returns how much waits in the task queue of deliveries.
	Describe func(ctx context.Context, kind enumspb.TaskQueueType) (*taskqueuepb.TaskQueueStats, error)
	// Limit is from which age of the oldest task on what is due is refused. 0: never.
	Limit time.Duration
	// Meter measures the backlog. Nothing is measured where it is nil.
	Meter metric.Meter
	Log   *slog.Logger
	Now   func() time.Time
}

// Watch knows how far the task queue is behind. It is safe for concurrent use.
type Watch struct {
	config Config

	mu      sync.Mutex
	waiting map[enumspb.TaskQueueType]waiting
	behind  int // how many looks in a row found it behind
}

// waiting is what waits in a task queue.
type waiting struct {
	tasks int64
	age   time.Duration // of the oldest
}

// kinds are the parts of a task queue, by their names in metrics.
var kinds = map[enumspb.TaskQueueType]string{
	enumspb.TASK_QUEUE_TYPE_WORKFLOW: "workflow",
	enumspb.TASK_QUEUE_TYPE_ACTIVITY: "activity",
}

// DescribeBy returns what describes the task queue of deliveries in a namespace.
func DescribeBy(temporal client.Client, namespace string) func(context.Context, enumspb.TaskQueueType) (*taskqueuepb.TaskQueueStats, error) {
	return func(ctx context.Context, kind enumspb.TaskQueueType) (*taskqueuepb.TaskQueueStats, error) {
		described, err := temporal.WorkflowService().DescribeTaskQueue(ctx, &workflowservice.DescribeTaskQueueRequest{
			Namespace: namespace, TaskQueue: &taskqueuepb.TaskQueue{Name: protocol.TaskQueue}, TaskQueueType: kind, ReportStats: true,
		})
		return described.GetStats(), err
	}
}

// New returns a watch, which knows of no backlog until it [Watch.Run]s.
func New(c Config) (*Watch, error) {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	w := &Watch{config: c, waiting: make(map[enumspb.TaskQueueType]waiting)}
	if err := w.measure(); err != nil {
		return nil, err
	}
	return w, nil
}

// Run looks at the task queue again and again, until ctx is done.
func (w *Watch) Run(ctx context.Context) {
	again := time.NewTicker(interval)
	defer again.Stop()
	for {
		w.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// look looks at the task queue once. Where Temporal does not answer nothing is known.
func (w *Watch) look(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, lookTimeout)
	defer stop()
	found := make(map[enumspb.TaskQueueType]waiting)
	for kind := range kinds {
		stats, err := w.config.Describe(ctx, kind)
		if err != nil {
			w.config.Log.DebugContext(ctx, "the backlog is not known", "error", err)
			found = make(map[enumspb.TaskQueueType]waiting)
			break
		}
		found[kind] = waiting{stats.GetApproximateBacklogCount(), stats.GetApproximateBacklogAge().AsDuration()}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.waiting = found
	if age := w.age(); w.config.Limit == 0 || age < w.config.Limit {
		w.behind = 0
		return
	}
	w.behind++
	if w.behind == confirmations {
		w.config.Log.WarnContext(ctx, "what is due now is refused: the workers are too far behind", "behind", w.age().Round(time.Second))
	}
}

// age is the age of the oldest task that waits.
func (w *Watch) age() time.Duration {
	oldest := time.Duration(0)
	for _, found := range w.waiting {
		if found.tasks > 0 {
			oldest = max(oldest, found.age)
		}
	}
	return oldest
}

// Check refuses what is due at a time, where the workers are too far behind. What is due once
// they may have caught up is accepted.
func (w *Watch) Check(due time.Time) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.behind < confirmations || due.After(w.config.Now().Add(w.config.Limit)) {
		return nil
	}
	refusal := postdate.Errorf(postdate.Overloaded, "",
		"what was accepted before has waited for a worker for %s: nothing more that is due now is accepted until that is done",
		w.age().Round(time.Second))
	refusal.RetryAfter = retryAfter
	return refusal
}

// The names of the metrics.
const (
	ageMetric   = "postdate_backlog_age"
	tasksMetric = "postdate_backlog_tasks"
)

// measure registers the metrics.
func (w *Watch) measure() error {
	if w.config.Meter == nil {
		return nil
	}
	age, err := w.config.Meter.Float64ObservableGauge(ageMetric, metric.WithUnit("s"),
		metric.WithDescription("How long the oldest task has waited for a worker of deliveries."))
	if err != nil {
		return fmt.Errorf("metric %s: %w", ageMetric, err)
	}
	tasks, err := w.config.Meter.Int64ObservableGauge(tasksMetric,
		metric.WithDescription("About how many tasks wait for a worker of deliveries."))
	if err != nil {
		return fmt.Errorf("metric %s: %w", tasksMetric, err)
	}
	_, err = w.config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for kind, found := range w.waiting {
			of := metric.WithAttributes(attribute.String("tasks", kinds[kind]))
			o.ObserveFloat64(age, found.age.Seconds(), of)
			o.ObserveInt64(tasks, found.tasks, of)
		}
		return nil
	}, age, tasks)
	if err != nil {
		return fmt.Errorf("metrics of the backlog: %w", err)
	}
	return nil
}
