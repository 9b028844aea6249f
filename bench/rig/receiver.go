package rig

import (
	"context"
	"io"
	"net/http"
	"strings"
	"time"
)

// Receiver is service B: it notes when each message arrived, and answers 204.
type Receiver struct {
	*inbox

	URL    string
	server *http.Server
	// nameOf is what a message is called by its body. Nil: it is by its id.
	nameOf func(body []byte) string
}

// StartReceiver starts one on a port of its own.
func StartReceiver(ctx context.Context) (*Receiver, error) {
	r := &Receiver{inbox: newInbox()}
	var err error
	r.server, r.URL, err = listen(ctx, r)
	return r, err
}

// StartReceiverOf starts one that knows messages by what stands in their bodies: their ids
// are not those that they were published with.
func StartReceiverOf(ctx context.Context, nameOf func(body []byte) string) (*Receiver, error) {
	r := &Receiver{inbox: newInbox(), nameOf: nameOf}
	var err error
	r.server, r.URL, err = listen(ctx, r)
	return r, err
}

// Stop closes its connections too.
func (r *Receiver) Stop() { _ = r.server.Close() }

// ServeHTTP takes a delivery at any path.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	id := req.Header.Get("Webhook-Id")
	if r.nameOf != nil {
		body, _ := io.ReadAll(req.Body)
		id = r.nameOf(body)
	}
	_, _ = io.Copy(io.Discard, req.Body)
	if path := strings.TrimPrefix(req.URL.Path, "/"); path != "" {
		id += "/" + path // the same event arrives at each endpoint
	}
	r.Arrive(id)
	w.WriteHeader(http.StatusNoContent)
}

// Arrive notes that the message id arrived now.
func (r *Receiver) Arrive(id string) {
	r.arrive(id, time.Now())
	r.wake()
}

// Wait returns when n different messages have arrived. It fails when the last of
// them was due and nothing has arrived for a while: then some are lost.
func (r *Receiver) Wait(ctx context.Context, n int, due time.Time) error {
	return r.wait(ctx, n, due, stall)
}
