package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// stall is how long nothing may arrive before what is missing counts as lost:
// longer than a batch job that looks once a minute.
const stall = 90 * time.Second

// receiver is service B: it notes when each message came, and answers 204.
type receiver struct {
	url      string
	server   *http.Server
	arrivals chan struct{} // holds a token while there is news

	mu   sync.Mutex
	seen map[string]arrival
}

type arrival struct {
	first  time.Time
	copies int
}

func startReceiver(ctx context.Context) (*receiver, error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listen for deliveries: %w", err)
	}
	r := &receiver{
		url:      "http://" + listener.Addr().String() + "/",
		arrivals: make(chan struct{}, 1),
		seen:     make(map[string]arrival),
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = r.server.Serve(listener) }() // ends with stop
	return r, nil
}

func (r *receiver) stop() { _ = r.server.Close() }

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	id := req.Header.Get("Webhook-Id")
	if path := strings.TrimPrefix(req.URL.Path, "/"); path != "" {
		id += "/" + path // the same event comes to each endpoint
	}
	r.arrive(id)
	w.WriteHeader(http.StatusNoContent)
}

// arrive notes that the message id came, now.
func (r *receiver) arrive(id string) {
	now := time.Now()
	r.mu.Lock()
	a := r.seen[id]
	if a.copies == 0 {
		a.first = now
	}
	a.copies++
	r.seen[id] = a
	r.mu.Unlock()

	select {
	case r.arrivals <- struct{}{}:
	default:
	}
}

func (r *receiver) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// wait returns when n different messages have come. It gives up when the last
// of them was due and nothing has come for a while: then some are lost.
func (r *receiver) wait(ctx context.Context, n int, due time.Time) error {
	for r.count() < n {
		select {
		case <-r.arrivals:
		case <-ctx.Done():
			return stopped(ctx)
		case <-time.After(max(stall, time.Until(due)+stall)):
			return fmt.Errorf("lost: %d of %d messages never came", n-r.count(), n)
		}
	}
	return nil
}

// note writes into items when they came, and tells of those that did not, or
// came before their time.
func (r *receiver) note(items []*item) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, m := range items {
		a := r.seen[m.id]
		m.received, m.copies = a.first, a.copies
		if m.copies == 0 {
			return fmt.Errorf("lost: %s never came", m.id)
		}
		if m.received.Before(m.due) {
			return fmt.Errorf("early: %s came %s before its time", m.id, m.due.Sub(m.received))
		}
	}
	if strangers := len(r.seen) - len(items); strangers != 0 {
		return fmt.Errorf("%d messages came that nobody had sent", strangers)
	}
	return nil
}
