package main

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
)

const naiveQueue = "naive"

// naiveMessage is what the naive program is told of a message.
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
	res, err := a.http.Do(req)
	if err != nil {
		return fmt.Errorf("post %s: %w", m.ID, err)
	}
	_ = res.Body.Close()
	if res.StatusCode/100 != 2 {
		return fmt.Errorf("post %s: %s", m.ID, res.Status)
	}
	return nil
}

// startNaiveWorker runs the program with the SDK's default options, but for an
// HTTP client that keeps its connections: a kindness, like much else here.
func startNaiveWorker(c client.Client) (worker.Worker, error) {
	w := worker.New(c, naiveQueue, worker.Options{})
	w.RegisterWorkflow(naiveWorkflow)
	w.RegisterActivity(&naiveActivities{http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}})
	if err := w.Start(); err != nil {
		return nil, fmt.Errorf("start the naive worker: %w", err)
	}
	return w, nil
}

// naive is the naive program in a child of its own. It has no HTTP API: it is
// driven by the Temporal client from the bench, whose time is not counted.
type naive struct {
	*child

	client client.Client
}

// startNaive starts the naive program in database or, where that is "", in the
// stage's folder.
func startNaive(ctx context.Context, s *stage, database string) (*naive, error) {
	ports, err := freePorts(ctx, 2)
	if err != nil {
		return nil, err
	}
	args := []string{
		naiveCommand, "--db", filepath.Join(s.dir, "naive.db"), "--postgres", database, "--http", ports[0], "--temporal", ports[1],
	}
	if s.naiveWAL {
		args = append(args, "--wal")
	}
	n := &naive{}
	if n.child, err = startSelf(ctx, "the naive program", "http://"+net.JoinHostPort("127.0.0.1", ports[0]), args...); err != nil {
		return nil, err
	}
	n.client, err = client.DialContext(ctx, client.Options{HostPort: net.JoinHostPort("127.0.0.1", ports[1]), Logger: silent{}})
	if err != nil {
		n.stop()
		return nil, fmt.Errorf("dial the naive program: %w", err)
	}
	return n, nil
}

func (n *naive) stop() {
	if n.client != nil {
		n.client.Close()
	}
	n.child.stop()
}

func (n *naive) publish(ctx context.Context, m *item) error {
	_, err := n.client.ExecuteWorkflow(ctx, client.StartWorkflowOptions{ID: m.id, TaskQueue: naiveQueue},
		naiveWorkflow, naiveMessage{ID: m.id, URL: m.url, Due: m.due, Body: payload})
	if err != nil {
		return fmt.Errorf("start a workflow: %w", err)
	}
	return nil
}

// silent is a logger that says nothing.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
