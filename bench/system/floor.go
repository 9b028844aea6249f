package system

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

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
	if err != nil {
		return nil, err
	}
	err = f.listen(ctx)
	return f, err
}

// listen notes which executions have run that were due at a time.
func (f *floor) listen(ctx context.Context) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url+floorRan, http.NoBody)
	if err != nil {
		return fmt.Errorf("listen to the floor: %w", err)
	}
	answer, err := http.DefaultClient.Do(req) //nolint:bodyclose // it is, once the floor has stopped
	if err != nil {
		return fmt.Errorf("listen to the floor: %w", err)
	}
	go func() { // until the floor has stopped
		defer func() { _ = answer.Body.Close() }()
		for ids := bufio.NewScanner(answer.Body); ids.Scan(); {
			f.receiver.Arrive(ids.Text())
		}
	}()
	return nil
}

// Publish returns once an execution named like m has run or, if m is due later, once it
// was started.
func (f *floor) Publish(ctx context.Context, m *rig.Message) error {
	target := f.url + m.ID
	if !m.Due.IsZero() {
		target += "?due=" + strconv.FormatInt(m.Due.UnixNano(), 10)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, http.NoBody)
	if err != nil {
		return fmt.Errorf("start %s: %w", m.ID, err)
	}
	if err := expectNoContent(http.DefaultClient, req); err != nil {
		return err
	}
	if m.Due.IsZero() {
		f.receiver.Arrive(m.ID)
	}
	return nil
}

// floorRan is the path at which the floor tells what has run.
const floorRan = "ran"

// floorRuns are the executions of the floor.
type floorRuns struct {
	client client.Client
	done   sync.Map // of channels that are closed when the execution has run
	ran    chan string
}

// workflow is the smallest there is.
func (r *floorRuns) workflow(ctx workflow.Context) error {
	id := workflow.GetInfo(ctx).WorkflowExecution.ID
	done, _ := r.done.LoadAndDelete(id)
	if done, ok := done.(chan struct{}); ok {
		close(done)
	} else {
		r.ran <- id
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
	id := req.URL.Path[1:]
	switch {
	case id == floorRan:
		r.tell(w, req)
		return
	case req.Method != http.MethodPost:
		return // a check whether the system is ready
	}
	options := client.StartWorkflowOptions{ID: id, TaskQueue: floorQueue}
	done := make(chan struct{})
	if due, err := strconv.ParseInt(req.URL.Query().Get("due"), 10, 64); err == nil {
		options.StartDelay = max(time.Millisecond, time.Until(time.Unix(0, due)))
		close(done) // nobody waits
	} else {
		options.EnableEagerStart = true
		r.done.Store(id, done)
	}
	if _, err := r.client.ExecuteWorkflow(req.Context(), options, floorQueue); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	select {
	case <-done:
		w.WriteHeader(http.StatusNoContent)
	case <-req.Context().Done():
	}
}

// tell writes the ids of what has run, as it runs.
func (r *floorRuns) tell(w http.ResponseWriter, req *http.Request) {
	response := http.NewResponseController(w)
	for {
		_ = response.Flush()
		select {
		case id := <-r.ran:
			_, _ = fmt.Fprintln(w, id)
		case <-req.Context().Done():
			return
		}
	}
}
