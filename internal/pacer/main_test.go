package pacer

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

var (
	accepted = postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 20}
	broken   = postdate.Attempt{Outcome: postdate.Failed, Status: 500, DurationMS: 20}
	refused  = postdate.Attempt{Outcome: postdate.Failed, Status: 422, DurationMS: 20}
	unmade   = postdate.Attempt{}

	errAway = errors.New("the engine is away")
)

// asked is a request for a lease, and when it came.
type asked struct {
	protocol.LeaseRequest

	At time.Duration
}

// leaseSourceFake gives the leases that a test says, where an endpoint's execution would.
type leaseSourceFake struct {
	// takes is how long an answer takes.
	takes time.Duration

	mu    sync.Mutex
	start time.Time
	asks  []asked
	give  func(asked) (protocol.Lease, error)
}

func (o *leaseSourceFake) request(ctx context.Context, _, _ string, a protocol.LeaseRequest) (protocol.Lease, error) {
	o.mu.Lock()
	one := asked{a, time.Since(o.start)}
	o.asks = append(o.asks, one)
	lease, err := o.give(one)
	o.mu.Unlock()
	select {
	case <-time.After(o.takes):
		return lease, err
	case <-ctx.Done():
		return protocol.Lease{}, ctx.Err()
	}
}

// gives has the office answer like that from now on.
func (o *leaseSourceFake) gives(give func(asked) (protocol.Lease, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.give = give
}

func (o *leaseSourceFake) all() []asked {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asks
}

func (o *leaseSourceFake) last() asked {
	all := o.all()
	if len(all) == 0 {
		return asked{}
	}
	return all[len(all)-1]
}

// lend is a lease of that pace.
func lend(pace postdate.Pace) protocol.Lease {
	return protocol.Lease{TTL: postdate.Duration(protocol.LeaseTime), Pace: pace, Required: true}
}

// always is the same lease for whoever wants one.
func always(lease protocol.Lease) func(asked) (protocol.Lease, error) {
	return func(a asked) (protocol.Lease, error) {
		given := lease
		if a.ReportOnly || a.InFlight+a.Waiting == 0 {
			given.Pace = postdate.Pace{}
		}
		return given, nil
	}
}

func never(asked) (protocol.Lease, error) { return protocol.Lease{}, errAway }

// fixture is a pacer and an endpoint on a clock of its own, which goes on by itself
// when everybody waits.
type fixture struct {
	*leaseSourceFake

	t *testing.T
	p *Pacer
	e postdate.Endpoint
}

// at runs a test in a booth.
func at(t *testing.T, e postdate.Endpoint, c Config, test func(t *testing.T, b *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e.ID, e.State = "ep_1", postdate.Enabled
		b := &fixture{leaseSourceFake: &leaseSourceFake{start: time.Now(), give: never}, t: t, e: e}
		c.Tenants = &tenants{postdate.Tenant{Version: 7, Endpoints: []postdate.Endpoint{e}}}
		b.p = newPacer(c, b.leaseSourceFake)
		t.Cleanup(b.p.Close)
		test(t, b)
	})
}

// tenAtOnce is an endpoint that is always sent to by lease.
var tenAtOnce = postdate.Endpoint{MaxInFlight: 10}

// leased runs a test in a booth of [tenAtOnce], where each lease is of so many in flight.
func leased(t *testing.T, inFlight int, test func(t *testing.T, b *fixture)) {
	t.Helper()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: inFlight})))
		test(t, b)
	})
}

type tenants struct{ one postdate.Tenant }

func (t *tenants) Tenant(context.Context, string) (*postdate.Tenant, error) { return &t.one, nil }

// take takes a turn, for which it need not wait.
func (b *fixture) take() throttle.Permit {
	b.t.Helper()
	turn, waited := b.try(throttle.PermitRequest{Dequeued: true, Since: time.Now()})
	require.NotNil(b.t, turn, "a turn")
	require.Zero(b.t, waited)
	return turn
}

// first takes the first turn that comes by lease.
func (b *fixture) first() throttle.Permit {
	b.t.Helper()
	turn, _ := b.try(throttle.PermitRequest{Dequeued: true, Since: time.Now()})
	require.NotNil(b.t, turn, "a turn")
	return turn
}

// try waits for a turn, and tells for how long it did.
func (b *fixture) try(c throttle.PermitRequest) (throttle.Permit, time.Duration) {
	b.t.Helper()
	began := time.Now()
	turn, err := b.p.Acquire(b.t.Context(), "acme", b.e, c)
	if !errors.Is(err, throttle.ErrNoPermit) {
		require.NoError(b.t, err)
	}
	return turn, time.Since(began)
}

// waiting is a claim that waits.
type waiting struct {
	turn throttle.Permit
	err  error
	took time.Duration
	done chan struct{}
}

// wait has a claim wait, and goes on once it does.
func (b *fixture) wait(c throttle.PermitRequest) *waiting {
	b.t.Helper()
	w, began := &waiting{done: make(chan struct{})}, time.Now()
	go func() {
		defer close(w.done)
		w.turn, w.err = b.p.Acquire(b.t.Context(), "acme", b.e, c)
		if errors.Is(w.err, throttle.ErrNoPermit) {
			w.err = nil
		}
		w.took = time.Since(began)
	}()
	synctest.Wait()
	return w
}

// answered tells whether it is, without waiting.
func (w *waiting) answered() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// patient is the claim of who waits for that long, and was called.
func patient(d time.Duration) throttle.PermitRequest {
	return throttle.PermitRequest{Dequeued: true, Since: time.Now(), MaxWait: d}
}

// pass has time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// after is how long after the beginning it is.
func (b *fixture) after() time.Duration { return time.Since(b.start) }

func TestBooth_IsOnAClockOfItsOwn(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		pass(time.Hour)
		assert.Equal(t, time.Hour, b.after())
	})
}
