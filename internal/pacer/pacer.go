package pacer

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"strings"
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
	// Slots bounds the attempts in flight in this process. Default 1,000.
	Slots int
	// MaxWait is how long a request without a MaxWait of its own waits in place. Default 1 s.
	MaxWait time.Duration
	Log     *slog.Logger
	Now     func() time.Time
}

const (
	defaultMaxWait = time.Second
	defaultSlots   = 1000
	// dropAfter is how long a limiter is kept without a request, and dropInterval how
	// often such limiters are looked for.
	dropAfter    = time.Minute
	dropInterval = 5 * time.Second
	// reportsPerSecond bounds this process's reports about unleased endpoints.
	reportsPerSecond = 5
	// closeTimeout bounds the return of leases when the pacer closes.
	closeTimeout = 5 * time.Second
)

// errDropped says that a limiter was dropped just now: another is to be made.
var errDropped = errors.New("the limiter was dropped")

var errClosed = errors.New("this process is stopping and issues no permits")

// Pacer issues permits. It is safe for concurrent use.
type Pacer struct {
	config  Config
	source  leaseSource
	worker  string
	reports *rate.Limiter
	slots   *slots

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
	c.Slots = cmp.Or(c.Slots, defaultSlots)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	p := &Pacer{
		config: c, source: s, worker: uuid.NewString(), limiters: make(map[limiterKey]*limiter),
		reports: rate.NewLimiter(reportsPerSecond, 1), slots: newSlots(c.Slots, c.Now),
	}
	p.ctx, p.stop = context.WithCancel(context.Background())
	return p
}

// Acquire returns a permit for attempts at an endpoint, or at the host of a bare url or a
// bare stream: an endpoint that has nothing but the URL or the stream. It waits for one as long as the request says. Where
// none comes so soon it returns [throttle.ErrNoPermit]; for a bare url that is a
// [throttle.NoPermitError].
func (p *Pacer) Acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	began := p.config.Now()
	r.MaxWait, r.N = cmp.Or(r.MaxWait, p.config.MaxWait), max(1, r.N)
	permit, err := p.acquire(ctx, tenant, e, r)
	if err != nil {
		return nil, err
	}
	// The endpoint's permit is held while the process's slots are waited for. Nobody waits
	// the other way round.
	slotsAt := p.config.Now()
	if err := p.slots.acquire(ctx, tenant, r.N, r.MaxWait-slotsAt.Sub(began), r.Dequeued); err != nil {
		permit.releaseUnused()
		return nil, err
	}
	begun := p.config.Now()
	return func(attempt postdate.Attempt) {
		if permit.release(attempt) {
			p.slots.release(tenant, p.config.Now().Sub(begun))
		}
	}, nil
}

// acquire returns the endpoint's permit.
func (p *Pacer) acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (*permit, error) {
	key, local := keyOf(tenant, e)
	for {
		l, err := p.limiter(key, local)
		if err != nil {
			return nil, err
		}
		w, err := l.acquire(e, r)
		switch {
		case errors.Is(err, errDropped):
		case err != nil:
			return nil, err
		default:
			return l.await(ctx, w, r.MaxWait)
		}
	}
}

// keyOf is the key of the limiter for e, and reports whether that is a local one.
func keyOf(tenant string, e postdate.Endpoint) (limiterKey, bool) {
	switch {
	case e.ID == "" && e.Stream != "":
		return limiterKey{tenant, "stream " + e.Stream}, true
	case e.ID == "":
		return limiterKey{tenant, "host " + hostOf(e.URL)}, true
	case e.State != postdate.Enabled: // its execution grants no leases
		return limiterKey{tenant, "test " + e.ID}, true
	}
	return limiterKey{tenant, e.ID}, false
}

// hostOf is the host of a url with its port, as far as it can be read.
func hostOf(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Host)
}

// limiter returns the limiter of that key, and makes it where there is none.
func (p *Pacer) limiter(key limiterKey, local bool) (*limiter, error) {
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
	l = &limiter{p: p, limiterKey: key, local: local}
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
