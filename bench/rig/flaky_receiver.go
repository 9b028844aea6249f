package rig

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"
)

// FlakyReceiver is service B while its callers die: each call takes a while, and of each
// message the first answers are refusals. It notes the calls of each message.
type FlakyReceiver struct {
	*inbox // of the messages that it accepted, as of when

	URL    string
	server *http.Server

	takes    time.Duration
	refusals int

	mu       sync.Mutex
	calls    map[string]int
	answered map[string]int
}

// StartFlakyReceiver starts one that answers after the time that a call takes: 409, which
// opens no breaker, for so many refusals of each message, then 204. A call whose caller
// goes away is not answered.
func StartFlakyReceiver(ctx context.Context, takes time.Duration, refusals int) (*FlakyReceiver, error) {
	r := &FlakyReceiver{
		inbox: newInbox(), takes: takes, refusals: refusals, calls: make(map[string]int), answered: make(map[string]int),
	}
	var err error
	r.server, r.URL, err = listen(ctx, r)
	return r, err
}

// Stop closes its connections too.
func (r *FlakyReceiver) Stop() { _ = r.server.Close() }

// ServeHTTP takes a delivery.
func (r *FlakyReceiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	_, _ = io.Copy(io.Discard, req.Body)
	id := req.Header.Get("Webhook-Id")
	r.mu.Lock()
	r.calls[id]++
	r.mu.Unlock()

	select {
	case <-time.After(r.takes):
	case <-req.Context().Done():
		return
	}
	r.mu.Lock()
	r.answered[id]++
	refused := r.answered[id] <= r.refusals
	r.mu.Unlock()
	if refused {
		w.WriteHeader(http.StatusConflict)
		return
	}
	r.arrive(id, time.Now())
	r.wake()
	w.WriteHeader(http.StatusNoContent)
}

// Wait returns when n different messages were accepted. It fails when none has been for
// so long.
func (r *FlakyReceiver) Wait(ctx context.Context, n int, patience time.Duration) error {
	return r.wait(ctx, n, time.Time{}, patience)
}

// Repeated returns how many of messages were called for more often than their refusals
// and one acceptance need.
func (r *FlakyReceiver) Repeated(messages []*Message) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(slices.DeleteFunc(slices.Clone(messages), func(m *Message) bool { return r.calls[m.ID] <= r.refusals+1 }))
}
