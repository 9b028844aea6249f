package deliveries

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
)

// Tenants reads what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Config is what a [Store] needs.
type Config struct {
	Temporal   client.Client
	Executions *executions.Client
	Tenants    Tenants
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own. Default 100.
	MaxInFlight int
	// WorkerPolling reports whether any worker polls for deliveries.
	WorkerPolling func(context.Context) (bool, error)
	Log           *slog.Logger
	Now           func() time.Time
}

// Store reads and changes deliveries. It is safe for concurrent use.
type Store struct {
	temporal      client.Client
	executions    *executions.Client
	tenants       Tenants
	maxInFlight   int
	workerPolling func(context.Context) (bool, error)
	log           *slog.Logger
	now           func() time.Time
	listing       *bound
	operations    *operations
	readiness     readiness
}

// maxParallel is how many requests to Temporal one call makes side by side.
const maxParallel = 16

// New returns a store.
func New(c Config) *Store {
	s := &Store{
		temporal:      c.Temporal,
		executions:    c.Executions,
		tenants:       c.Tenants,
		maxInFlight:   cmp.Or(c.MaxInFlight, postdate.DefaultInFlight),
		workerPolling: c.WorkerPolling,
		log:           c.Log,
		now:           c.Now,
		listing:       newBound(maxListing, "lists or counts"),
		operations:    &operations{starting: newBound(1, "starts of operations")},
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.now == nil {
		s.now = time.Now
	}
	return s
}

// readiness is what was last found out about whether anything can be accepted.
type readiness struct {
	mu  sync.Mutex
	at  time.Time
	err error
}

const (
	// readyAge is how long it is returned again: whoever asks needs no key.
	readyAge = time.Second
	// readyTimeout bounds how long it takes to find out.
	readyTimeout = 5 * time.Second
)

// Ready returns why nothing can be accepted or delivered at the moment, as it was found
// out at most a second ago.
func (s *Store) Ready(ctx context.Context) error {
	s.readiness.mu.Lock()
	defer s.readiness.mu.Unlock()
	if time.Since(s.readiness.at) < readyAge {
		return s.readiness.err
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), readyTimeout)
	defer stop()
	s.readiness.err = s.findReady(ctx)
	s.readiness.at = time.Now()
	return s.readiness.err
}

func (s *Store) findReady(ctx context.Context) error {
	polling, err := s.workerPolling(ctx)
	if err == nil && !polling {
		err = postdate.Errorf(postdate.Unavailable, "", "no worker is running")
	}
	if err != nil {
		return err
	}
	return s.executions.Ready(ctx)
}

// WorkerPolling reports whether any worker polls for deliveries.
func (s *Store) WorkerPolling(ctx context.Context) (bool, error) { return s.workerPolling(ctx) }
