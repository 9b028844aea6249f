package system

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/bench/rig"
)

const naiveQueue = "naive"

// naiveMessage is the input of the naive workflow.
type naiveMessage struct {
	ID, URL string
	Due     time.Time
	Body    []byte
}

// naiveWorkflow is what one writes first: sleep until due, then call an activity.
func naiveWorkflow(ctx workflow.Context, m naiveMessage) error {
	if !m.Due.IsZero() {
		if err := workflow.Sleep(ctx, m.Due.Sub(workflow.Now(ctx))); err != nil {
			return fmt.Errorf("sleep: %w", err)
		}
	}
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: 15 * time.Second})
	if err := workflow.ExecuteActivity(ctx, (*naiveActivities).Post, m).Get(ctx, nil); err != nil {
		return fmt.Errorf("post: %w", err)
	}
	return nil
}

type naiveActivities struct{ http *http.Client }

// Post makes one attempt. It does not even sign.
func (a *naiveActivities) Post(ctx context.Context, m naiveMessage) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return fmt.Errorf("post %s: %w", m.ID, err)
	}
	req.Header.Set("Webhook-Id", m.ID)
	return expectSuccess(a.http, req)
}

// startNaiveWorker runs the program with the SDK's default options, but for an HTTP
// client that keeps its connections: a kindness, like much else here.
func startNaiveWorker(c client.Client) (worker.Worker, error) {
	w := worker.New(c, naiveQueue, worker.Options{})
	w.RegisterWorkflow(naiveWorkflow)
	w.RegisterActivity(&naiveActivities{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}})
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start the naive worker: %w", err)
	}
	return w, nil
}

// naive is the naive program in a process of its own. It has no HTTP API: the bench
// drives it by a Temporal client, whose time is not counted.
type naive struct {
	solo

	client client.Client
}

func startNaive(ctx context.Context, c Config, r *rig.Rig, database string) (System, error) {
	ports, err := rig.FreePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	args := []string{
		naiveCommand, "--db", filepath.Join(r.Dir, "naive.db"), "--postgres", database, "--http", ports[0], "--temporal", ports[1],
	}
	if c.NaiveWAL {
		args = append(args, "--wal")
	}
	n := &naive{}
	if n.Process, err = rig.StartSelf(ctx, "the naive program", "http://"+net.JoinHostPort("127.0.0.1", ports[0]), args...); err != nil {
		return nil, err
	}
	n.client, err = client.DialContext(ctx, client.Options{HostPort: net.JoinHostPort("127.0.0.1", ports[1]), Logger: silent{}})
	if err != nil {
		n.Process.Stop()
		return nil, fmt.Errorf("dial the naive program: %w", err)
	}
	return n, nil
}

// Stop closes the client first.
func (n *naive) Stop() {
	n.client.Close()
	n.Process.Stop()
}

// Publish returns once the workflow is started.
func (n *naive) Publish(ctx context.Context, m *rig.Message) error {
	_, err := n.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: m.ID, TaskQueue: naiveQueue},
		naiveWorkflow, naiveMessage{ID: m.ID, URL: m.URL, Due: m.Due, Body: payload})
	if err != nil {
		return fmt.Errorf("start a workflow: %w", err)
	}
	return nil
}
