// Package ingest accepts schedules and events: it starts the executions that carry them,
// and enqueues deliveries whose endpoints have no permit for them.
//
// A message that its caller names has an execution of its own. Unnamed ones are batched:
// those that arrive while a start is on its way to Temporal share the next execution.
// Nothing is acknowledged before the execution that carries it is durably started.
package ingest

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
)

// Tenants reads what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Config is what an [Ingester] needs.
type Config struct {
	Temporal   client.Client
	Executions *executions.Client
	Tenants    Tenants
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own. Default 100.
	MaxInFlight int
	// BurstPerSecond returns how many of one tenant's deliveries that are due in the same
	// second are to start per second, where the first of them is accepted now. Nil, or 0
	// always: all of them at once.
	BurstPerSecond func() int
	// Quotas bound what callers may have accepted: nothing does where it is nil.
	Quotas Quotas
	// MaxRequestDeliveries bounds the deliveries that the events of one request make: their
	// number times that of their subscribers. 0: no bound.
	MaxRequestDeliveries int
	// Backlog refuses what callers want that is due at a time, where too much waits already:
	// nothing is refused where it is nil.
	Backlog func(due time.Time) error
	// Joined is called where a line has joined its endpoint's queue: nil where nobody waits
	// for that.
	Joined func(tenant, endpoint string)
	Log    *slog.Logger
	Now    func() time.Time
}

// Ingester starts deliveries and events. It is safe for concurrent use.
type Ingester struct {
	temporal    client.Client
	executions  *executions.Client
	tenants     Tenants
	maxInFlight int
	quotas      Quotas
	maxRequest  int
	backlog     func(due time.Time) error
	joined      func(tenant, endpoint string)
	log         *slog.Logger
	now         func() time.Time

	batcher   *batcher[batchKey, *item]
	schedules *batcher[second, *unnamed]
	queues    *queueBuilder
	bursts    *burstLimiter
}

// New returns an ingester.
func New(c Config) *Ingester {
	i := &Ingester{
		temporal:    c.Temporal,
		executions:  c.Executions,
		tenants:     c.Tenants,
		maxInFlight: cmp.Or(c.MaxInFlight, postdate.DefaultInFlight),
		quotas:      c.Quotas,
		maxRequest:  c.MaxRequestDeliveries,
		backlog:     c.Backlog,
		joined:      c.Joined,
		log:         c.Log,
		now:         c.Now,
		batcher:     newBatcher[batchKey](fitting),
		schedules:   newBatcher[second](fittingSchedules),
		queues:      newQueueBuilder(),
	}
	if i.quotas == nil {
		i.quotas = unlimited{}
	}
	if i.backlog == nil {
		i.backlog = func(time.Time) error { return nil }
	}
	if i.joined == nil {
		i.joined = func(string, string) {}
	}
	if i.log == nil {
		i.log = slog.Default()
	}
	if i.now == nil {
		i.now = time.Now
	}
	perSecond := c.BurstPerSecond
	if perSecond == nil {
		perSecond = func() int { return 0 }
	}
	i.bursts = newBurstLimiter(perSecond, c.Executions.CountOpen, i.now, i.log)
	return i
}
