package rig

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// SlowReceiver is service B when it cannot keep up: each call takes a while. It
// notes when each call began and ended.
type SlowReceiver struct {
	*inbox // of the messages that it accepted

	URL    string
	server *http.Server

	mu     sync.Mutex
	takes  time.Duration
	status int
	calls  []Call // those that ended
}

// StartSlowReceiver starts one that answers 204 after the time that a call takes.
func StartSlowReceiver(ctx context.Context, takes time.Duration) (*SlowReceiver, error) {
	r := &SlowReceiver{inbox: newInbox(), takes: takes, status: http.StatusNoContent}
	var err error
	r.server, r.URL, err = listen(ctx, r)
	return r, err
}

// Stop closes its connections too.
func (r *SlowReceiver) Stop() { _ = r.server.Close() }

// Become changes how long each further call takes, and its answer.
func (r *SlowReceiver) Become(takes time.Duration, status int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.takes, r.status = takes, status
}

// ServeHTTP takes a delivery.
func (r *SlowReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	r.mu.Lock()
	begin, takes, status := time.Now(), r.takes, r.status
	r.mu.Unlock()

	answered := true
	select {
	case <-time.After(takes):
		w.WriteHeader(status)
	case <-req.Context().Done():
		answered = false
	}
	r.end(req.Header.Get("Webhook-Id"), Call{Begin: begin, Accepted: answered && status < http.StatusMultipleChoices})
}

// end notes a call for the message id that ends now. The call is noted before its
// message, so that whoever waited for the message finds the call.
func (r *SlowReceiver) end(id string, c Call) {
	r.mu.Lock()
	c.End = time.Now()
	r.calls = append(r.calls, c)
	r.mu.Unlock()
	if c.Accepted {
		r.arrive(id, c.Begin)
	}
	r.wake()
}

// Wait returns when n different messages were accepted. It fails when nothing has
// arrived for a while: longer than usual, for an open breaker or a lease that has to
// expire may hold messages back.
func (r *SlowReceiver) Wait(ctx context.Context, n int) error {
	return r.wait(ctx, n, time.Time{}, 2*stall)
}

// Calls returns those that ended.
func (r *SlowReceiver) Calls() Calls {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.calls)
}
