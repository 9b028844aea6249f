package pacer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestLease_BoundsTheAttemptsInFlight(t *testing.T) {
	t.Parallel()
	leased(t, 3, func(t *testing.T, f *fixture) {
		t.Helper()
		f.takes = 5 * time.Millisecond
		var six []*waiting
		for range 6 {
			six = append(six, f.wait(dequeued(time.Minute)))
		}
		issued := func() (permits []throttle.Permit) {
			for _, w := range six {
				if w.answered() {
					permits = append(permits, w.permit)
				}
			}
			return permits
		}
		require.Empty(t, issued(), "none before the lease was granted")
		pass(10 * time.Millisecond)
		require.Len(t, issued(), 3)

		pass(2 * time.Second)
		require.Len(t, issued(), 3)
		assert.Equal(t, 3, f.last().InFlight)
		assert.Equal(t, 3, f.last().Waiting)
		assert.Equal(t, 3, f.last().Has.InFlight)

		f.gives(always(lend(postdate.Pace{InFlight: 5})))
		pass(1010 * time.Millisecond) // a request each second while the share is too small
		require.Len(t, issued(), 5)

		f.gives(always(lend(postdate.Pace{InFlight: 2})))
		pass(1010 * time.Millisecond)
		permits := issued()
		for _, permit := range permits[:3] {
			permit.Release(accepted)
			synctest.Wait()
			require.Len(t, issued(), 5, "two or more are in flight still")
		}
		permits[3].Release(accepted)
		synctest.Wait()
		require.Len(t, issued(), 6)
	})
}

func TestLease_IsRenewedWhileItIsNeeded(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.first()
		pass(20 * time.Second)
		var times []time.Duration
		for _, call := range f.all() {
			times = append(times, call.At)
		}
		require.Equal(t, []time.Duration{
			0, 3 * time.Second, 6 * time.Second, 9 * time.Second, 12 * time.Second, 15 * time.Second, 18 * time.Second,
		}, times)
		permit.Release(accepted)
	})
}

func TestLease_IssuesNoPermitsOnceItHasEnded(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, f *fixture) {
		t.Helper()
		f.takes = 2 * time.Second // a lease counts from before it was requested
		w := f.wait(dequeued(time.Minute))
		<-w.done
		require.Equal(t, 2*time.Second, f.after())
		f.gives(never)
		pass(10*time.Second - time.Millisecond - f.after())
		f.take()
		pass(time.Millisecond)
		w = f.wait(dequeued(3 * time.Second))
		<-w.done
		require.Nil(t, w.permit)
		require.ErrorIs(t, w.err, errAway, "no lease could be requested")
		require.Equal(t, 3*time.Second, w.took)

		f.gives(always(lend(postdate.Pace{InFlight: 10})))
		w = f.wait(dequeued(time.Minute))
		<-w.done
		require.NotNil(t, w.permit)
	})
}

func TestLease_IsReturnedWhenIdle(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerSecond: 10, Burst: 5}}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		lease := lend(f.e.Pace(100))
		lease.Tokens = 5
		f.gives(always(lease))
		permit := f.first()
		pass(time.Second)
		permit.Release(accepted)
		require.Len(t, f.all(), 1)
		pass(time.Second)
		require.Len(t, f.all(), 2)
		back := f.last()
		assert.Zero(t, back.InFlight+back.Waiting)
		assert.Equal(t, 1, back.Feedback.Succeeded)
		assert.InDelta(t, 5, back.Tokens, 1e-6, "with the tokens that it saved")
		assert.Less(t, back.At, 1500*time.Millisecond)
		pass(time.Hour)
		require.Len(t, f.all(), 2)
		f.first()
	})
}

func TestLease_AnUnusedPermitReturnsItsToken(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerMinute: 1}}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		lease := lend(f.e.Pace(100))
		lease.Tokens = 1
		f.gives(func(r leaseCall) (protocol.Lease, error) {
			given := lease
			lease.Tokens = 0
			return given, nil
		})
		f.first().Release(unmade)
		f.take().Release(postdate.Attempt{Outcome: protocol.NotEnabled})
		permit := f.take()
		w := f.wait(dequeued(2 * time.Minute))
		require.False(t, w.answered())
		permit.Release(accepted)
		<-w.done
		require.NotNil(t, w.permit)
		require.InDelta(t, time.Minute, f.after(), float64(time.Millisecond))
		require.NotContains(t, fmt.Sprint(f.all()), "Failed:1")
	})
}

func TestLease_IsRenewedAtOnceWhenTheLimitsChange(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(func(r leaseCall) (protocol.Lease, error) { return always(lend(r.Settings.Pace))(r) })
		permit := f.first()
		pass(time.Second)
		f.e.MaxInFlight = 20
		f.p.config.Tenants.(*tenants).one.Endpoints[0] = f.e
		f.take().Release(accepted)
		synctest.Wait()
		require.Len(t, f.all(), 2)
		require.Equal(t, 20, f.last().Settings.Pace.InFlight)
		permit.Release(accepted)
	})
}
