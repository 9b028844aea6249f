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
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
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
	workflows.AskLease

	At time.Duration
}

// office gives the leases that a test says, where an endpoint's execution would.
type office struct {
	// takes is how long an answer takes.
	takes time.Duration

	mu    sync.Mutex
	start time.Time
	asks  []asked
	give  func(asked) (workflows.Lease, error)
}

func (o *office) ask(ctx context.Context, _, _ string, a workflows.AskLease) (workflows.Lease, error) {
	o.mu.Lock()
	one := asked{a, time.Since(o.start)}
	o.asks = append(o.asks, one)
	lease, err := o.give(one)
	o.mu.Unlock()
	select {
	case <-time.After(o.takes):
		return lease, err
	case <-ctx.Done():
		return workflows.Lease{}, ctx.Err()
	}
}

// gives has the office answer like that from now on.
func (o *office) gives(give func(asked) (workflows.Lease, error)) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.give = give
}

func (o *office) all() []asked {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.asks
}

func (o *office) last() asked {
	all := o.all()
	if len(all) == 0 {
		return asked{}
	}
	return all[len(all)-1]
}

// lend is a lease of that pace.
func lend(pace postdate.Pace) workflows.Lease {
	return workflows.Lease{For: postdate.Duration(workflows.LeaseTime), Pace: pace, Engaged: true}
}

// always is the same lease for whoever wants one.
func always(lease workflows.Lease) func(asked) (workflows.Lease, error) {
	return func(a asked) (workflows.Lease, error) {
		given := lease
		if a.Calm || a.InFlight+a.Asking == 0 {
			given.Pace = postdate.Pace{}
		}
		return given, nil
	}
}

func never(asked) (workflows.Lease, error) { return workflows.Lease{}, errAway }

// booth is a pacer and an endpoint on a clock of its own, which goes on by itself
// when everybody waits.
type booth struct {
	*office

	t *testing.T
	p *Pacer
	e postdate.Endpoint
}

// at runs a test in a booth.
func at(t *testing.T, e postdate.Endpoint, c Config, test func(t *testing.T, b *booth)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e.ID, e.State = "ep_1", postdate.Enabled
		b := &booth{office: &office{start: time.Now(), give: never}, t: t, e: e}
		c.Directory = &tenants{postdate.Tenant{Version: 7, Endpoints: []postdate.Endpoint{e}}}
		b.p = newPacer(c, b.office)
		t.Cleanup(b.p.Close)
		test(t, b)
	})
}

// tenAtOnce is an endpoint that is always sent to by lease.
var tenAtOnce = postdate.Endpoint{MaxInFlight: 10}

// leased runs a test in a booth of [tenAtOnce], where each lease is of so many in flight.
func leased(t *testing.T, inFlight int, test func(t *testing.T, b *booth)) {
	t.Helper()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: inFlight})))
		test(t, b)
	})
}

type tenants struct{ one postdate.Tenant }

func (t *tenants) Tenant(context.Context, string) (*postdate.Tenant, error) { return &t.one, nil }

// take takes a turn, for which it need not wait.
func (b *booth) take() activities.Turn {
	b.t.Helper()
	turn, waited := b.try(activities.Claim{Called: true, Since: time.Now()})
	require.NotNil(b.t, turn, "a turn")
	require.Zero(b.t, waited)
	return turn
}

// first takes the first turn that comes by lease.
func (b *booth) first() activities.Turn {
	b.t.Helper()
	turn, _ := b.try(activities.Claim{Called: true, Since: time.Now()})
	require.NotNil(b.t, turn, "a turn")
	return turn
}

// try waits for a turn, and tells for how long it did.
func (b *booth) try(c activities.Claim) (activities.Turn, time.Duration) {
	b.t.Helper()
	began := time.Now()
	turn, err := b.p.Take(b.t.Context(), "acme", b.e, c)
	require.NoError(b.t, err)
	return turn, time.Since(began)
}

// waiting is a claim that waits.
type waiting struct {
	turn activities.Turn
	err  error
	took time.Duration
	done chan struct{}
}

// wait has a claim wait, and goes on once it does.
func (b *booth) wait(c activities.Claim) *waiting {
	b.t.Helper()
	w, began := &waiting{done: make(chan struct{})}, time.Now()
	go func() {
		defer close(w.done)
		w.turn, w.err = b.p.Take(b.t.Context(), "acme", b.e, c)
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
func patient(d time.Duration) activities.Claim {
	return activities.Claim{Called: true, Since: time.Now(), Patience: d}
}

// pass has time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// after is how long after the beginning it is.
func (b *booth) after() time.Duration { return time.Since(b.start) }

func TestBooth_IsOnAClockOfItsOwn(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		pass(time.Hour)
		assert.Equal(t, time.Hour, b.after())
	})
}
