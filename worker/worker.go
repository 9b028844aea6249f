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
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// Config is what a worker needs to know.
type Config struct {
	// Client must be the one that starts deliveries too, where both share a
	// process: then their first task comes here without a trip to the queue.
	Client client.Client
	Sender activities.Sender
	Log    *slog.Logger
	// DataConverter is the client's: the SDK's default one where it is nil.
	DataConverter converter.DataConverter
	// Slots is how many deliveries may be attempted at once. A start that finds
	// no slot free goes the long way, through the queue.
	Slots int
	// StopTimeout is how long attempts under way are waited for.
	StopTimeout time.Duration
}

// New assembles a worker. It does nothing until started.
func New(c Config) worker.Worker {
	if c.DataConverter == nil {
		c.DataConverter = converter.GetDefaultDataConverter()
	}
	w := worker.New(c.Client, workflows.TaskQueue, worker.Options{
		MaxConcurrentWorkflowTaskExecutionSize:  c.Slots,
		MaxConcurrentLocalActivityExecutionSize: c.Slots,
		MaxConcurrentActivityExecutionSize:      c.Slots,
		WorkerStopTimeout:                       c.StopTimeout,
	})
	workflows.Register(w)
	w.RegisterActivity(&activities.Activities{
		Sender: c.Sender,
		Engine: engine{client: c.Client, converter: c.DataConverter},
		Log:    c.Log,
		Now:    time.Now,
	})
	return w
}

// engine reads what the engine knows of a pending retry.
type engine struct {
	client    client.Client
	converter converter.DataConverter
}

// PendingAttempts reads the log of attempts out of the heartbeat details of a
// workflow's pending activity.
func (e engine) PendingAttempts(ctx context.Context, workflowID, runID string) (postdate.Attempts, error) {
	described, err := e.client.DescribeWorkflowExecution(ctx, workflowID, runID)
	if err != nil {
		return nil, fmt.Errorf("describe %s: %w", workflowID, err)
	}
	var log postdate.Attempts
	for _, pending := range described.GetPendingActivities() {
		if pending.GetHeartbeatDetails() == nil {
			continue
		}
		if err := e.converter.FromPayloads(pending.GetHeartbeatDetails(), &log); err != nil {
			return nil, fmt.Errorf("read the attempts of %s: %w", workflowID, err)
		}
	}
	return log, nil
}

// pollerGone is after how long without a poll a worker counts as gone. A poll
// takes up to a minute; the engine itself forgets a worker after five.
const pollerGone = 70 * time.Second

// Polling tells whether any worker polls for deliveries.
func Polling(ctx context.Context, c client.Client) (bool, error) {
	queue, err := c.DescribeTaskQueue(ctx, workflows.TaskQueue, enumspb.TASK_QUEUE_TYPE_WORKFLOW)
	if _, missing := errors.AsType[*serviceerror.NotFound](err); missing {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("ask who polls for deliveries: %w", err)
	}
	return slices.ContainsFunc(queue.GetPollers(), func(poller *taskqueuepb.PollerInfo) bool {
		return time.Since(poller.GetLastAccessTime().AsTime()) < pollerGone
	}), nil
}
