// Package pull serves the consumers of endpoints that are pulled from. Leases are recorded
// by the executions that hold the messages: nothing that a process keeps here is needed
// once it is gone.
//
// What the consumers of one process want of an endpoint at about the same time is asked for
// together, and so is what they say of the messages of one line: the number of workflow
// tasks follows the time that one takes, not the number of consumers.
package pull

import (
	"cmp"
	"context"
	"crypto/rand"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Tenants reads what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Deliveries reads what became of a delivery.
type Deliveries interface {
	Get(ctx context.Context, tenant, id string) (postdate.Delivery, error)
}

// Config is what a [Store] needs.
type Config struct {
	Temporal   client.Client
	Executions *executions.Client
	Tenants    Tenants
	Deliveries Deliveries
	// MaxInFlight bounds the messages that are leased at once, of endpoints that have no
	// bound of their own. Default 100.
	MaxInFlight int
	Log         *slog.Logger
}

// Store leases messages to consumers. It is safe for concurrent use.
type Store struct {
	temporal    client.Client
	executions  *executions.Client
	tenants     Tenants
	deliveries  Deliveries
	maxInFlight int
	log         *slog.Logger
	settling    *combiner[lineRef, protocol.Settlement, protocol.Settled]

	mu     sync.Mutex
	queues map[protocol.EndpointRef]*queue
}

// lineRef names a line.
type lineRef struct {
	protocol.EndpointRef

	line string
}

// New returns a store.
func New(c Config) *Store {
	s := &Store{
		temporal: c.Temporal, executions: c.Executions, tenants: c.Tenants, deliveries: c.Deliveries,
		maxInFlight: cmp.Or(c.MaxInFlight, postdate.DefaultInFlight), log: c.Log,
		queues: make(map[protocol.EndpointRef]*queue),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	s.settling = newCombiner(s.settleLine)
	return s
}

// Request is what a consumer wants.
type Request struct {
	// Max is how many messages it takes at most.
	Max int
	// Wait is how long it waits for the first.
	Wait time.Duration
	// Lease is how long it has them.
	Lease time.Duration
}

// Pull leases messages of an endpoint, in order: none where none came in time. What was
// leased to a caller that has gone is given back.
func (s *Store) Pull(ctx context.Context, tenant, endpoint string, r Request) ([]postdate.PulledMessage, error) {
	w := &want{Request: r, lease: rand.Text(), result: make(chan pulled, 1)}
	//nolint:contextcheck // a queue serves many callers, and outlives each
	q := s.add(protocol.EndpointRef{Tenant: tenant, Endpoint: endpoint}, w)
	wait := time.NewTimer(r.Wait)
	defer wait.Stop()
	if r.Wait > 0 {
		select {
		case got := <-w.result:
			return got.messages, got.err
		case <-wait.C:
		case <-ctx.Done():
		}
		q.expire(w) // it may be served just now
	}
	select {
	case got := <-w.result:
		if ctx.Err() == nil || len(got.messages) == 0 {
			return got.messages, got.err
		}
		w.result <- got
	case <-ctx.Done():
	}
	go s.giveBack(context.WithoutCancel(ctx), tenant, endpoint, w)
	return nil, ctx.Err()
}

// Joined is called where a line has joined the queue of an endpoint, in this process.
func (s *Store) Joined(tenant, endpoint string) {
	s.mu.Lock()
	q := s.queues[protocol.EndpointRef{Tenant: tenant, Endpoint: endpoint}]
	s.mu.Unlock()
	if q != nil {
		q.filled()
	}
}

// add adds a want to the queue of its endpoint.
func (s *Store) add(ref protocol.EndpointRef, w *want) *queue {
	q := s.queue(ref, func(q *queue) { q.add(w) })
	q.wake()
	return q
}

// queue changes the queue of an endpoint, which it starts where there is none. A queue ends
// once it has nothing to do: that is decided under the same lock.
func (s *Store) queue(ref protocol.EndpointRef, change func(*queue)) *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.queues[ref]
	if !ok {
		q = newQueue(s, ref)
		s.queues[ref] = q
		go q.run(context.Background())
	}
	change(q)
	return q
}

// giveBack gives back what was leased to a consumer that has gone.
func (s *Store) giveBack(ctx context.Context, tenant, endpoint string, w *want) {
	got := <-w.result
	if len(got.messages) == 0 {
		return
	}
	receipts := make([]string, len(got.messages))
	for i, m := range got.messages {
		receipts[i] = m.Receipt
	}
	// Where that fails, the leases end all the same.
	_, _ = s.Settle(ctx, tenant, endpoint, SettleRequest{Action: protocol.ReturnAction, Receipts: receipts})
}
