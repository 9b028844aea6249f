// Package worker assembles workflows, activities and senders into a Temporal worker.
package worker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	taskqueuepb "go.temporal.io/api/taskqueue/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// Config is what a worker needs to know.
type Config struct {
	// Client must be the one that starts deliveries too, where both share a process: then
	// their first task comes here without going through the task queue.
	Client client.Client
	Sender activities.Sender
	// Tenants knows what is configured, Ingester starts and enqueues deliveries,
	// Deliveries reads and changes them, and Limiter issues permits for endpoints.
	Tenants    Tenants
	Ingester   Ingester
	Deliveries Deliveries
	Limiter    activities.Limiter
	// Recurrences does what recurring schedules ask for.
	Recurrences activities.Recurrences
	// BurstRate learns from the first attempts of bursts. Nil: nothing does.
	BurstRate activities.BurstRate
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own.
	MaxInFlight int
	// MaxReschedules is after how many attempts at a message its receiver no longer puts it
	// off by less than an hour. 0: it always may.
	MaxReschedules int
	Log            *slog.Logger
	// Slots bounds the deliveries that are attempted at once. A start that finds no slot
	// free goes through the task queue.
	Slots int
	// StopTimeout bounds how long Stop waits for attempts that are under way.
	StopTimeout time.Duration
}

// Tenants knows and changes what is configured, as activities use it.
type Tenants interface {
	activities.Tenants
	activities.Canaries
}

// Ingester is the way in, as activities use it.
type Ingester interface {
	activities.Starter
	activities.Publisher
	activities.Queue
	activities.Intake
}

// Deliveries reads and changes deliveries, as activities use it.
type Deliveries interface {
	activities.Deliveries
	activities.Postponer
	activities.Withdrawer
	activities.Groups
	activities.AttemptLog
}

// Worker polls for deliveries, for tenants and endpoints, and for operations on many
// deliveries. They have task queues of their own, so that none waits for another.
type Worker struct{ control, operations, deliveries worker.Worker }

// controlSlots bounds the tasks of tenants and endpoints that run at once: they are small
// and rare.
const controlSlots = 20

// operationSlots bounds the operations on many deliveries that run at once. Each tenant
// has one at a time.
const operationSlots = 20

// heartbeatThrottle is how far the heartbeats of operations lie apart at least.
const heartbeatThrottle = 3 * time.Second

// New assembles a worker. It does nothing until started.
func New(c Config) *Worker {
	w := &Worker{
		control: worker.New(c.Client, protocol.ControlQueue, worker.Options{
			MaxConcurrentWorkflowTaskExecutionSize: controlSlots,
			MaxConcurrentActivityExecutionSize:     controlSlots,
			MaxConcurrentWorkflowTaskPollers:       2,
			MaxConcurrentActivityTaskPollers:       1,
			// Enough for a change of a tenant.
			WorkerStopTimeout: min(c.StopTimeout, time.Second),
		}),
		operations: worker.New(c.Client, protocol.OperationQueue, worker.Options{
			DisableWorkflowWorker:              true,
			MaxConcurrentActivityExecutionSize: operationSlots,
			MaxConcurrentActivityTaskPollers:   1,
			MaxHeartbeatThrottleInterval:       heartbeatThrottle,
			WorkerStopTimeout:                  min(c.StopTimeout, time.Second), // it continues on another worker
		}),
		deliveries: worker.New(c.Client, protocol.TaskQueue, worker.Options{
			MaxConcurrentWorkflowTaskExecutionSize:  c.Slots,
			MaxConcurrentLocalActivityExecutionSize: c.Slots,
			MaxConcurrentActivityExecutionSize:      c.Slots,
			// Heartbeats of a line record what it has sent. If the worker dies, what was not
			// recorded is sent again.
			MaxHeartbeatThrottleInterval: time.Second,
			WorkerStopTimeout:            c.StopTimeout,
		}),
	}
	acts := &activities.Activities{
		Sender: c.Sender, Tenants: c.Tenants, Starter: c.Ingester, Publisher: c.Ingester, Queue: c.Ingester, Intake: c.Ingester,
		Canaries: c.Tenants, Deliveries: c.Deliveries, Postponer: c.Deliveries, Groups: c.Deliveries, AttemptLog: c.Deliveries,
		Withdrawer: c.Deliveries, Limiter: c.Limiter, Recurrences: c.Recurrences, MaxInFlight: c.MaxInFlight,
		MaxReschedules: c.MaxReschedules, BurstRate: c.BurstRate,
		Log: c.Log, Now: time.Now,
	}
	workflows.Register(w.deliveries)
	acts.Register(w.deliveries)
	workflows.RegisterControl(w.control)
	acts.RegisterControl(w.control)
	acts.RegisterOperations(w.operations)
	return w
}

// Start begins to poll for work.
func (w *Worker) Start() error {
	if err := w.control.Start(); err != nil {
		return fmt.Errorf("poll for tenants and endpoints: %w", err)
	}
	if err := w.operations.Start(); err != nil {
		w.control.Stop()
		return fmt.Errorf("poll for operations: %w", err)
	}
	if err := w.deliveries.Start(); err != nil {
		w.operations.Stop()
		w.control.Stop()
		return fmt.Errorf("poll for deliveries: %w", err)
	}
	return nil
}

// Stop stops polling, and waits for attempts that are under way.
func (w *Worker) Stop() {
	w.deliveries.Stop()
	w.operations.Stop()
	w.control.Stop()
}

// pollerGone is the time without a poll after which a worker counts as gone. A poll takes
// up to a minute; Temporal itself lists a worker for five.
const pollerGone = 70 * time.Second

// Polling reports whether a worker polls for deliveries, and one for tenants and
// endpoints.
func Polling(ctx context.Context, c client.Client) (bool, error) {
	for _, name := range []string{protocol.TaskQueue, protocol.ControlQueue} {
		queue, err := c.DescribeTaskQueue(ctx, name, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("list the pollers of the task queue %s: %w", name, err)
		}
		if !slices.ContainsFunc(queue.GetPollers(), polls) {
			return false, nil
		}
	}
	return true, nil
}

func polls(poller *taskqueuepb.PollerInfo) bool {
	return time.Since(poller.GetLastAccessTime().AsTime()) < pollerGone
}
