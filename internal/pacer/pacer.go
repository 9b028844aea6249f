// Package pacer gives turns at endpoints, so that no receiver gets more than it
// can take. An endpoint that has a pace, or is in trouble, is sent to by lease: a
// share of what it may be sent, which its execution gives to this process for a
// few seconds. All others are sent to at once.
package pacer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	"go.temporal.io/sdk/client"
	"golang.org/x/time/rate"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// Tenants knows what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Config is what a pacer needs.
type Config struct {
	Temporal client.Client
	Tenants  Tenants
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own. Default 100.
	MaxInFlight int
	// MaxWait is how long a claim that says nothing else waits in place. Default 1 s.
	MaxWait time.Duration
	Log     *slog.Logger
	Now     func() time.Time
}

const (
	defaultMaxWait = time.Second
	// dropAfter is after how long an endpoint that nobody asked for is dropped, and
	// clearing how often they are looked for.
	dropAfter    = time.Minute
	dropInterval = 5 * time.Second
	// reportsPerSecond bounds what this process tells of endpoints that are well.
	reportsPerSecond = 5
	// closeTimeout bounds the giving back of leases, when it is over.
	closeTimeout = 5 * time.Second
)

var errClosed = errors.New("this process gives no turns any more")

// Pacer gives turns. It is safe for concurrent use.
type Pacer struct {
	config  Config
	source  leaseSource
	worker  string
	reports *rate.Limiter

	ctx  context.Context //nolint:containedctx // the requests' own: they serve all who wait, not who happened to come
	stop context.CancelFunc

	mu       sync.Mutex
	limiters map[limiterKey]*limiter
	cleared  time.Time
	closed   bool
	requests sync.WaitGroup // requests under way
}

type limiterKey struct{ tenant, id string }

// New makes a pacer.
func New(c Config) *Pacer { return newPacer(c, endpointLeases{c.Temporal}) }

func newPacer(c Config, l leaseSource) *Pacer {
	c.MaxInFlight = cmp.Or(c.MaxInFlight, postdate.DefaultInFlight)
	c.MaxWait = cmp.Or(c.MaxWait, defaultMaxWait)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Pacer{
		config: c, source: l, worker: uuid.NewString(), limiters: make(map[limiterKey]*limiter),
		reports: rate.NewLimiter(reportsPerSecond, 1),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Acquire implements the limiter of activities.
func (p *Pacer) Acquire(ctx context.Context, tenant string, e postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		g, err := p.limiter(limiterKey{tenant, e.ID})
		if err != nil {
			return nil, err
		}
		if w, here := g.acquire(e, c); here { //nolint:contextcheck // see Pacer.ctx
			if w == nil {
				return nil, throttle.ErrNoPermit
			}
			return g.await(ctx, w, cmp.Or(c.MaxWait, p.config.MaxWait))
		}
	}
}

// limiter is the endpoint's, made where there is none.
func (p *Pacer) limiter(key limiterKey) (*limiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	g, ok := p.limiters[key]
	if ok {
		return g, nil
	}
	if now := p.config.Now(); now.Sub(p.cleared) > dropInterval {
		p.cleared = now
		for other, g := range p.limiters {
			if g.drop(now) {
				delete(p.limiters, other)
			}
		}
	}
	g = &limiter{p: p, limiterKey: key}
	p.limiters[key] = g
	return g, nil
}

// begin notes a request that is about to be made: false once it is over.
func (p *Pacer) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.requests.Add(1)
	return true
}

// Close gives all leases back, and tells what is still to be told of endpoints
// that are sent to by lease. Turns that were given remain good.
func (p *Pacer) Close() {
	p.mu.Lock()
	all := p.limiters
	first := !p.closed
	p.closed, p.limiters = true, nil
	p.mu.Unlock()
	if !first {
		return
	}
	late := time.AfterFunc(closeTimeout, p.stop)
	defer late.Stop()
	defer p.stop()
	p.requests.Wait() // those under way
	var last sync.WaitGroup
	slots := make(chan struct{}, 2*reportsPerSecond)
	for _, g := range all {
		if !g.close() {
			continue
		}
		slots <- struct{}{}
		last.Go(func() {
			defer func() { <-slots }()
			g.giveBack()
		})
	}
	last.Wait()
}
