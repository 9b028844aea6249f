package rig

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// stall is how long nothing may arrive before the missing messages count as lost:
// longer than the interval of a batch job that scans once a minute.
const stall = 90 * time.Second

// inbox notes which messages arrived, when first and how often.
type inbox struct {
	news chan struct{} // holds a token when something arrived since the last look

	mu       sync.Mutex
	arrivals map[string]arrival
}

type arrival struct {
	first  time.Time
	copies int
}

func newInbox() *inbox {
	return &inbox{news: make(chan struct{}, 1), arrivals: make(map[string]arrival)}
}

// arrive notes that the message id arrived at that time.
func (b *inbox) arrive(id string, at time.Time) {
	b.mu.Lock()
	a := b.arrivals[id]
	if a.copies == 0 {
		a.first = at
	}
	a.copies++
	b.arrivals[id] = a
	b.mu.Unlock()
}

// wake makes wait look again.
func (b *inbox) wake() {
	select {
	case b.news <- struct{}{}:
	default:
	}
}

// Count returns how many different messages arrived.
func (b *inbox) Count() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.arrivals)
}

// wait returns when n different messages have arrived. It gives up when the last of
// them was due and nothing has happened for the time that patience gives.
func (b *inbox) wait(ctx context.Context, n int, due time.Time, patience time.Duration) error {
	for b.Count() < n {
		select {
		case <-b.news:
		case <-ctx.Done():
			return stopped(ctx)
		case <-time.After(max(patience, time.Until(due)+patience)):
			return fmt.Errorf("lost: %d of %d messages never came", n-b.Count(), n)
		}
	}
	return nil
}

// Note writes into messages when each arrived and how often. It fails where one
// did not arrive or arrived before it was due, and where others arrived.
func (b *inbox) Note(messages []*Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range messages {
		a := b.arrivals[m.ID]
		m.Received, m.Copies = a.first, a.copies
		if m.Copies == 0 {
			return fmt.Errorf("lost: %s never came", m.ID)
		}
		if m.Received.Before(m.Due) {
			return fmt.Errorf("early: %s came %s before its time", m.ID, m.Due.Sub(m.Received))
		}
	}
	if unsent := len(b.arrivals) - len(messages); unsent != 0 {
		return fmt.Errorf("%d messages came that nobody had sent", unsent)
	}
	return nil
}

// listen serves h on a free port of the loopback address until the server is closed.
func listen(ctx context.Context, h http.Handler) (server *http.Server, url string, err error) {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", fmt.Errorf("listen for deliveries: %w", err)
	}
	server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }() // ends when the server is closed
	return server, "http://" + listener.Addr().String() + "/", nil
}
