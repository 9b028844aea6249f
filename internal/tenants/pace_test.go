package tenants

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/pacer"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// workers are the pacers of n processes, which share an endpoint.
func workers(t *testing.T, d *Store, n int) []*pacer.Pacer {
	t.Helper()
	all := make([]*pacer.Pacer, n)
	for i := range all {
		all[i] = pacer.New(pacer.Config{Temporal: temporal, Tenants: d, MaxInFlight: 100})
	}
	return all
}

// try makes an attempt with a permit of p's, as soon as there is one.
func try(t *testing.T, p *pacer.Pacer, tenant string, e postdate.Endpoint, do func() postdate.Attempt) {
	t.Helper()
	for t.Context().Err() == nil {
		permit, err := p.Acquire(t.Context(), tenant, e, throttle.PermitRequest{Dequeued: true, Since: time.Now(), MaxWait: 10 * time.Second})
		if err != nil || permit == nil {
			continue
		}
		permit.Release(do())
		return
	}
}

func TestPace_IsSharedByAllWorkersAndNeverExceeded(t *testing.T) {
	t.Parallel()
	const tenant, limit, each = "paced", 4, 40
	d := New(Config{Temporal: temporal})
	e, _, err := d.CreateEndpoint(t.Context(), tenant, pacedEndpoint(limit))
	require.NoError(t, err)
	pacers := workers(t, d, 3)
	var now, most, done atomic.Int64
	var used [3]atomic.Int64
	var all sync.WaitGroup
	for n, p := range pacers {
		for range each {
			all.Go(func() {
				try(t, p, tenant, e, func() postdate.Attempt {
					defer now.Add(-1)
					for at, seen := now.Add(1), most.Load(); at > seen && !most.CompareAndSwap(seen, at); seen = most.Load() {
					}
					used[n].Add(1)
					done.Add(1)
					time.Sleep(20 * time.Millisecond) // what the receiver takes
					return postdate.Attempt{At: time.Now(), Outcome: postdate.Accepted, Status: 204, DurationMS: 20}
				})
			})
		}
	}
	all.Wait()
	require.LessOrEqual(t, most.Load(), int64(limit), "over all workers")
	require.Equal(t, int64(3*each), done.Load())
	for n, p := range pacers {
		require.NotZero(t, used[n].Load(), "none starves")
		p.Close()
	}
	historytest.Record(t, temporal, "endpoint/leases-shared", protocol.EndpointID(tenant, e.ID), "")
}

func TestPace_HasOneBreakerForAllWorkers(t *testing.T) {
	t.Parallel()
	const tenant = "broken"
	d := New(Config{Temporal: temporal})
	e, _, err := d.CreateEndpoint(t.Context(), tenant, pacedEndpoint(4))
	require.NoError(t, err)
	pacers := workers(t, d, 2)
	failure := postdate.Attempt{At: time.Now(), Outcome: postdate.Failed, Status: 503}
	eventually.True(t, func() bool {
		permit, err := pacers[0].Acquire(context.WithoutCancel(t.Context()), tenant, e, throttle.PermitRequest{Since: time.Now()})
		if err == nil && permit != nil {
			permit.Release(failure)
		}
		return healthOf(t, tenant, e.ID).Breaker == postdate.BreakerOpen
	})
	_, err = pacers[1].Acquire(t.Context(), tenant, e, throttle.PermitRequest{Since: time.Now()})
	require.ErrorIs(t, err, throttle.ErrNoPermit, "another worker does not send either")

	success := func() postdate.Attempt {
		return postdate.Attempt{At: time.Now(), Outcome: postdate.Accepted, Status: 204}
	}
	try(t, pacers[1], tenant, e, success) // the probe
	eventually.True(t, func() bool { return healthOf(t, tenant, e.ID).Breaker == postdate.BreakerClosed })
	for _, p := range pacers {
		p.Close()
	}
	historytest.Record(t, temporal, "endpoint/breaker", protocol.EndpointID(tenant, e.ID), "")
}

func healthOf(t *testing.T, tenant, id string) (h postdate.Health) {
	t.Helper()
	value, err := temporal.QueryWorkflow(context.WithoutCancel(t.Context()), protocol.EndpointID(tenant, id), "", protocol.QueryHealth)
	require.NoError(t, err)
	require.NoError(t, value.Get(&h))
	return h
}

func pacedEndpoint(inFlight int) postdate.Endpoint {
	e := endpoint("ep_1")
	e.MaxInFlight = inFlight
	return e
}
