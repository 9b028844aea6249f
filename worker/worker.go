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
	// Client must be the one that starts deliveries too, where both share a
	// process: then their first task comes here without a trip to the queue.
	Client    client.Client
	Sender activities.Sender
	// Tenants knows what is configured, Ingester starts and enqueues deliveries,
	// Deliveries reads and changes them, and Limiter issues permits for endpoints.
	Tenants    activities.Tenants
	Ingester   Ingester
	Deliveries Deliveries
	Limiter    activities.Limiter
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own.
	MaxInFlight int
	Log         *slog.Logger
	// Slots is how many deliveries may be attempted at once. A start that finds
	// no slot free goes the long way, through the queue.
	Slots int
	// StopTimeout is how long attempts under way are waited for.
	StopTimeout time.Duration
}

// Ingester is the way in, as activities use it.
type Ingester interface {
	activities.Starter
	activities.Publisher
	activities.Queue
}

// Deliveries are those that exist, as activities use them.
type Deliveries interface {
	activities.Deliveries
	activities.AttemptLog
}

// Worker carries deliveries, and holds what is configured for tenants. The two
// have queues of their own, so that neither waits for the other.
type Worker struct{ control, deliveries worker.Worker }

// controlSlots is how much of what is configured a worker attends to at once:
// little is to be done for it, and seldom.
const controlSlots = 20

// New assembles a worker. It does nothing until started.
func New(c Config) *Worker {
	w := &Worker{
		control: worker.New(c.Client, protocol.ControlQueue, worker.Options{
			MaxConcurrentWorkflowTaskExecutionSize: controlSlots,
			MaxConcurrentActivityExecutionSize:     controlSlots,
			MaxConcurrentWorkflowTaskPollers:       2,
			MaxConcurrentActivityTaskPollers:       1,
			// Enough for a change. A sweep is taken up elsewhere.
			WorkerStopTimeout: min(c.StopTimeout, time.Second),
		}),
		deliveries: worker.New(c.Client, protocol.TaskQueue, worker.Options{
			MaxConcurrentWorkflowTaskExecutionSize:  c.Slots,
			MaxConcurrentLocalActivityExecutionSize: c.Slots,
			MaxConcurrentActivityExecutionSize:      c.Slots,
			// A line's heartbeats tell what it has sent: what is not told yet when the
			// worker dies is sent again.
			MaxHeartbeatThrottleInterval: time.Second,
			WorkerStopTimeout:            c.StopTimeout,
		}),
	}
	all := &activities.Activities{
		Sender: c.Sender, Tenants: c.Tenants, Starter: c.Ingester, Publisher: c.Ingester, Queue: c.Ingester,
		Deliveries: c.Deliveries, AttemptLog: c.Deliveries, Limiter: c.Limiter, MaxInFlight: c.MaxInFlight,
		Log: c.Log, Now: time.Now,
	}
	workflows.Register(w.deliveries)
	all.Register(w.deliveries)
	workflows.RegisterControl(w.control)
	all.RegisterControl(w.control)
	return w
}

// Start begins to poll for work.
func (w *Worker) Start() error {
	if err := w.control.Start(); err != nil {
		return fmt.Errorf("poll for what is configured: %w", err)
	}
	if err := w.deliveries.Start(); err != nil {
		w.control.Stop()
		return fmt.Errorf("poll for deliveries: %w", err)
	}
	return nil
}

// Stop takes no more work and waits for what is under way.
func (w *Worker) Stop() {
	w.deliveries.Stop()
	w.control.Stop()
}

// pollerGone is after how long without a poll a worker counts as gone. A poll
// takes up to a minute; the engine itself forgets a worker after five.
const pollerGone = 70 * time.Second

// Polling tells whether any worker polls for deliveries, and any for what is
// configured.
func Polling(ctx context.Context, c client.Client) (bool, error) {
	for _, name := range []string{protocol.TaskQueue, protocol.ControlQueue} {
		queue, err := c.DescribeTaskQueue(ctx, name, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
		if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
			return false, nil
		}
		if err != nil {
			return false, fmt.Errorf("ask who polls the queue %s: %w", name, err)
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
