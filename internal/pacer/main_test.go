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

// leaseCall is a lease request, and when it came.
type leaseCall struct {
	protocol.LeaseRequest

	At time.Duration
}

// leaseSourceFake grants leases in the place of an endpoint's execution.
type leaseSourceFake struct {
	// takes is how long an answer takes.
	takes time.Duration

	mu    sync.Mutex
	start time.Time
	calls []leaseCall
	give  func(leaseCall) (protocol.Lease, error)
}

func (o *leaseSourceFake) request(ctx context.Context, _, _ string, r protocol.LeaseRequest) (protocol.Lease, error) {
	o.mu.Lock()
	one := leaseCall{r, time.Since(o.start)}
	o.calls = append(o.calls, one)
	lease, err := o.give(one)
	o.mu.Unlock()
	select {
	case <-time.After(o.takes):
		return lease, err
	case <-ctx.Done():
		return protocol.Lease{}, ctx.Err()
	}
}

// gives sets the answer to the requests from now on.
func (o *leaseSourceFake) gives(give func(leaseCall) (protocol.Lease, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.give = give
}

func (o *leaseSourceFake) all() []leaseCall {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.calls
}

func (o *leaseSourceFake) last() leaseCall {
	all := o.all()
	if len(all) == 0 {
		return leaseCall{}
	}
	return all[len(all)-1]
}

// lend returns a lease of that pace.
func lend(pace postdate.Pace) protocol.Lease {
	return protocol.Lease{TTL: postdate.Duration(protocol.LeaseTime), Pace: pace, Required: true}
}

// always grants the same lease to every request for a share.
func always(lease protocol.Lease) func(leaseCall) (protocol.Lease, error) {
	return func(r leaseCall) (protocol.Lease, error) {
		given := lease
		if r.ReportOnly || r.InFlight+r.Waiting == 0 {
			given.Pace = postdate.Pace{}
		}
		return given, nil
	}
}

func never(leaseCall) (protocol.Lease, error) { return protocol.Lease{}, errAway }

// fixture is a pacer and an endpoint on a fake clock, which advances when all goroutines
// are blocked.
type fixture struct {
	*leaseSourceFake

	t *testing.T
	p *Pacer
	e postdate.Endpoint
}

// at runs a test with a fixture for that endpoint.
func at(t *testing.T, e postdate.Endpoint, c Config, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e.ID, e.State = "ep_1", postdate.Enabled
		f := &fixture{leaseSourceFake: &leaseSourceFake{start: time.Now(), give: never}, t: t, e: e}
		c.Tenants = &tenants{postdate.Tenant{Version: 7, Endpoints: []postdate.Endpoint{e}}}
		f.p = newPacer(c, f.leaseSourceFake)
		t.Cleanup(f.p.Close)
		test(t, f)
	})
}

// tenAtOnce is an endpoint that is always sent to by lease.
var tenAtOnce = postdate.Endpoint{MaxInFlight: 10}

// leased runs a test with [tenAtOnce], where each lease allows so many in flight.
func leased(t *testing.T, inFlight int, test func(t *testing.T, f *fixture)) {
	t.Helper()
	at(t, tenAtOnce, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(lend(postdate.Pace{InFlight: inFlight})))
		test(t, f)
	})
}

type tenants struct{ one postdate.Tenant }

func (t *tenants) Tenant(context.Context, string) (*postdate.Tenant, error) { return &t.one, nil }

// take acquires a permit, which must be free.
func (f *fixture) take() throttle.Permit {
	f.t.Helper()
	permit, waited := f.try(throttle.PermitRequest{Dequeued: true, Since: time.Now()})
	require.NotNil(f.t, permit)
	require.Zero(f.t, waited)
	return permit
}

// first acquires the first permit of a lease, which has to be requested.
func (f *fixture) first() throttle.Permit {
	f.t.Helper()
	permit, _ := f.try(throttle.PermitRequest{Dequeued: true, Since: time.Now()})
	require.NotNil(f.t, permit)
	return permit
}

// try requests a permit, and returns how long it waited.
func (f *fixture) try(c throttle.PermitRequest) (throttle.Permit, time.Duration) {
	f.t.Helper()
	began := time.Now()
	permit, err := f.p.Acquire(f.t.Context(), "acme", f.e, c)
	if !errors.Is(err, throttle.ErrNoPermit) {
		require.NoError(f.t, err)
	}
	return permit, time.Since(began)
}

// waiting is a request that may be waiting.
type waiting struct {
	permit throttle.Permit
	err    error
	took   time.Duration
	done   chan struct{}
}

// wait requests a permit, and returns once the request is resolved or waits.
func (f *fixture) wait(c throttle.PermitRequest) *waiting {
	f.t.Helper()
	w, began := &waiting{done: make(chan struct{})}, time.Now()
	go func() {
		defer close(w.done)
		w.permit, w.err = f.p.Acquire(f.t.Context(), "acme", f.e, c)
		if errors.Is(w.err, throttle.ErrNoPermit) {
			w.err = nil
		}
		w.took = time.Since(began)
	}()
	synctest.Wait()
	return w
}

// answered reports whether the request is resolved.
func (w *waiting) answered() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// dequeued is a request of a delivery whose line was woken.
func dequeued(d time.Duration) throttle.PermitRequest {
	return throttle.PermitRequest{Dequeued: true, Since: time.Now(), MaxWait: d}
}

// pass advances the clock.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// after is the time since the test began.
func (f *fixture) after() time.Duration { return time.Since(f.start) }

func TestFixture_HasAClockOfItsOwn(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		pass(time.Hour)
		assert.Equal(t, time.Hour, f.after())
	})
}
