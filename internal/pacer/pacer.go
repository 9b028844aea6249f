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

// Tenants reads what is configured for tenants.
type Tenants interface {
	Tenant(ctx context.Context, name string) (*postdate.Tenant, error)
}

// Config configures a pacer.
type Config struct {
	Temporal client.Client
	Tenants  Tenants
	// MaxInFlight bounds the attempts in flight at endpoints without a bound of their
	// own. Default 100.
	MaxInFlight int
	// MaxWait is how long a request without a MaxWait of its own waits in place. Default 1 s.
	MaxWait time.Duration
	Log     *slog.Logger
	Now     func() time.Time
}

const (
	defaultMaxWait = time.Second
	// dropAfter is how long a limiter is kept without a request, and dropInterval how
	// often such limiters are looked for.
	dropAfter    = time.Minute
	dropInterval = 5 * time.Second
	// reportsPerSecond bounds this process's reports about unleased endpoints.
	reportsPerSecond = 5
	// closeTimeout bounds the return of leases when the pacer closes.
	closeTimeout = 5 * time.Second
)

var errClosed = errors.New("this process is stopping and issues no permits")

// Pacer issues permits. It is safe for concurrent use.
type Pacer struct {
	config  Config
	source  leaseSource
	worker  string
	reports *rate.Limiter

	ctx  context.Context //nolint:containedctx // lease requests serve all waiting requests, not the one that caused them
	stop context.CancelFunc

	mu        sync.Mutex
	limiters  map[limiterKey]*limiter
	droppedAt time.Time
	closed    bool
	requests  sync.WaitGroup // lease requests under way
}

type limiterKey struct{ tenant, id string }

// New makes a pacer.
func New(c Config) *Pacer { return newPacer(c, endpointLeases{c.Temporal}) }

func newPacer(c Config, s leaseSource) *Pacer {
	c.MaxInFlight = cmp.Or(c.MaxInFlight, postdate.DefaultInFlight)
	c.MaxWait = cmp.Or(c.MaxWait, defaultMaxWait)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Pacer{
		config: c, source: s, worker: uuid.NewString(), limiters: make(map[limiterKey]*limiter),
		reports: rate.NewLimiter(reportsPerSecond, 1),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Acquire returns a permit for attempts at an endpoint. It waits for one as long as the
// request says, and returns [throttle.ErrNoPermit] where none comes so soon.
func (p *Pacer) Acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	for {
		l, err := p.limiter(limiterKey{tenant, e.ID})
		if err != nil {
			return nil, err
		}
		if w, ok := l.acquire(e, r); ok { //nolint:contextcheck // see Pacer.ctx
			if w == nil {
				return nil, throttle.ErrNoPermit
			}
			return l.await(ctx, w, cmp.Or(r.MaxWait, p.config.MaxWait))
		}
	}
}

// limiter returns the endpoint's limiter, and makes it where there is none.
func (p *Pacer) limiter(key limiterKey) (*limiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	l, ok := p.limiters[key]
	if ok {
		return l, nil
	}
	if now := p.config.Now(); now.Sub(p.droppedAt) > dropInterval {
		p.droppedAt = now
		for other, l := range p.limiters {
			if l.drop(now) {
				delete(p.limiters, other)
			}
		}
	}
	l = &limiter{p: p, limiterKey: key}
	p.limiters[key] = l
	return l, nil
}

// beginRequest counts a lease request that is about to be made. It returns false once
// the pacer is closed.
func (p *Pacer) beginRequest() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.requests.Add(1)
	return true
}

// Close returns all leases, with the results that were not reported yet. Permits that
// were issued stay good.
func (p *Pacer) Close() {
	p.mu.Lock()
	limiters := p.limiters
	first := !p.closed
	p.closed, p.limiters = true, nil
	p.mu.Unlock()
	if !first {
		return
	}
	timeout := time.AfterFunc(closeTimeout, p.stop)
	defer timeout.Stop()
	defer p.stop()
	p.requests.Wait()
	var returns sync.WaitGroup
	slots := make(chan struct{}, 2*reportsPerSecond)
	for _, l := range limiters {
		if !l.close() {
			continue
		}
		slots <- struct{}{}
		returns.Go(func() {
			defer func() { <-slots }()
			l.returnLease()
		})
	}
	returns.Wait()
}
