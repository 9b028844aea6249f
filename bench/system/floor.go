package system

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/bench/rig"
)

const floorQueue = "floor"

// floor is the least that a durable execution can cost, on the engine that Postdate
// runs: it is started, runs once, and has ended. Client and worker share its process,
// as they do in "postdate dev".
type floor struct {
	solo

	url      string
	receiver *rig.Receiver // notes which executions have run, for nothing is sent
}

func startFloor(ctx context.Context, _ Config, r *rig.Rig, database string) (System, error) {
	ports, err := rig.FreePorts(ctx, 1)
	if err != nil {
		return nil, err
	}
	f := &floor{url: "http://" + net.JoinHostPort("127.0.0.1", ports[0]) + "/", receiver: r.Receiver}
	f.Process, err = rig.StartSelf(ctx, "the floor", f.url, floorCommand, "--data", r.Dir, "--postgres", database, "--http", ports[0])
	return f, err
}

// Publish returns once an execution named like m has run.
func (f *floor) Publish(ctx context.Context, m *rig.Message) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, f.url+m.ID, http.NoBody)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.ID, err)
	}
	if err := expectNoContent(http.DefaultClient, req); err != nil {
		return err
	}
	f.receiver.Arrive(m.ID)
	return nil
}

// floorRuns are the executions that requests wait for, by their ids.
type floorRuns struct {
	client client.Client
	done   sync.Map // of channels that are closed when the execution has run
}

// workflow is the smallest there is.
func (r *floorRuns) workflow(ctx workflow.Context) error {
	done, _ := r.done.LoadAndDelete(workflow.GetInfo(ctx).WorkflowExecution.ID)
	if done, ok := done.(chan struct{}); ok {
		close(done)
	}
	return nil
}

func (r *floorRuns) worker() worker.Worker {
	const slots = 1000 // as many as Postdate has
	w := worker.New(r.client, floorQueue, worker.Options{MaxConcurrentWorkflowTaskExecutionSize: slots})
	w.RegisterWorkflowWithOptions(r.workflow, workflow.RegisterOptions{Name: floorQueue})
	return w
}

func (r *floorRuns) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		return // a check whether the system is ready
	}
	id, done := req.URL.Path[1:], make(chan struct{})
	r.done.Store(id, done)
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
