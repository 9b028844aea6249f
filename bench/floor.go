package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const floorQueue = "floor"

// floor is the least that a durable execution can cost, on the engine that
// Postdate runs: it is started, runs once, and has ended. Client and worker
// share its process, as they do in "postdate dev".
type floor struct {
	*child

	url      string
	receiver *receiver
}

// startFloor starts the floor in database or, where that is "", in the stage's
// folder. What has run is told to the stage's receiver, for nothing is sent.
func startFloor(ctx context.Context, s *stage, database string) (*floor, error) {
	ports, err := freePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	f := &floor{url: "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/", receiver: s.receiver}
	f.child, err = startSelf(ctx, "the floor", f.url, floorCommand, "--data", s.dir, "--postgres", database, "--http", ports[0])
	return f, err
}

// publish returns once an execution named like m has run.
func (f *floor) publish(ctx context.Context, m *item) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+m.id, http.NoBody)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.id, err)
	}
	if err := expectDone(http.DefaultClient, req); err != nil {
		return err
	}
	f.receiver.arrive(m.id)
	return nil
}

// runs are the executions that are waited for, by their ids.
type runs struct {
	client client.Client
	ran    sync.Map // of channels that are closed when it has run
}

// workflow is the smallest there is.
func (r *runs) workflow(ctx workflow.Context) error {
	done, _ := r.ran.LoadAndDelete(workflow.GetInfo(ctx).WorkflowExecution.ID)
	if done, waited := done.(chan struct{}); waited {
		close(done)
	}
	return nil
}

func (r *runs) worker() worker.Worker {
	const slots = 1000 // as many as Postdate has
	w := worker.New(r.client, floorQueue, worker.Options{MaxConcurrentWorkflowTaskExecutionSize: slots})
	w.RegisterWorkflowWithOptions(r.workflow, workflow.RegisterOptions{Name: floorQueue})
	return w
}

func (r *runs) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		return // only whether we are ready is asked
	}
	id, done := req.URL.Path[1:], make(chan struct{})
	r.ran.Store(id, done)
	_, err := r.client.ExecuteWorkflow(req.Context(),
		client.StartWorkflowOptions{ID: id, TaskQueue: floorQueue, EnableEagerStart: true}, floorQueue)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	select {
	case <-done:
		w.WriteHeader(http.StatusNoContent)
	case <-req.Context().Done():
	}
}
