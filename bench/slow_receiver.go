package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// crm is service B when it cannot keep up: each call takes a while. It notes
// when each began and ended.
type crm struct {
	url    string
	server *http.Server
	news   chan struct{} // holds a token while there is news

	mu       sync.Mutex
	takes    time.Duration
	status   int
	calls    []call             // those that are over
	accepted map[string]arrival // the messages that were
}

// call is one request: from its arrival until it was answered, or until the
// caller had gone.
type call struct {
	begin, end time.Time
	accepted   bool
}

func startCRM(ctx context.Context, takes time.Duration) (*crm, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for deliveries: %w", err)
	}
	c := &crm{
		url:      "http://" + listener.Addr().String() + "/",
		news:     make(chan struct{}, 1),
		takes:    takes,
		status:   http.StatusNoContent,
		accepted: make(map[string]arrival),
	}
	c.server = &http.Server{Handler: c, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = c.server.Serve(listener) }() // ends with stop
	return c, nil
}

func (c *crm) stop() { _ = c.server.Close() }

// become changes how long each further call takes, and what it is answered.
func (c *crm) become(takes time.Duration, status int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takes, c.status = takes, status
}

func (c *crm) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	c.mu.Lock()
	began, takes, status := time.Now(), c.takes, c.status
	c.mu.Unlock()

	stayed := true
	select {
	case <-time.After(takes):
		w.WriteHeader(status)
	case <-req.Context().Done():
		stayed = false
	}
	c.over(req.Header.Get("Webhook-Id"), call{begin: began, accepted: stayed && status < http.StatusMultipleChoices})
}

// over notes that a call for the message id is, now.
func (c *crm) over(id string, made call) {
	c.mu.Lock()
	made.end = time.Now()
	c.calls = append(c.calls, made)
	if made.accepted {
		a := c.accepted[id]
		if a.copies == 0 {
			a.first = made.begin
		}
		a.copies++
		c.accepted[id] = a
	}
	c.mu.Unlock()

	select {
	case c.news <- struct{}{}:
	default:
	}
}

func (c *crm) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.accepted)
}

// wait returns when n different messages were accepted, or nothing has come for a while.
func (c *crm) wait(ctx context.Context, n int) error {
	for c.count() < n {
		select {
		case <-c.news:
		case <-ctx.Done():
			return stopped(ctx)
		case <-time.After(2 * stall): // a breaker, or a lease that died, may keep it waiting
			return fmt.Errorf("lost: %d of %d messages never came", n-c.count(), n)
		}
	}
	return nil
}

// note writes into items when each that was accepted came, and how often, and
// tells of those that were not, and of strangers.
func (c *crm) note(items []*item) (duplicates int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range items {
		a := c.accepted[m.id]
		if m.received, m.copies = a.first, a.copies; m.copies == 0 {
			return 0, fmt.Errorf("lost: %s never came", m.id)
		}
		duplicates += m.copies - 1
	}
	if strangers := len(c.accepted) - len(items); strangers != 0 {
		return 0, fmt.Errorf("%d messages came that nobody had sent", strangers)
	}
	return duplicates, nil
}

// all are the calls that are over.
func (c *crm) all() calls {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append(calls(nil), c.calls...)
}
