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

func TestLease_NoMoreAreInFlightThanItSays(t *testing.T) {
	t.Parallel()
	leased(t, 3, func(t *testing.T, b *fixture) {
		t.Helper()
		b.takes = 5 * time.Millisecond
		var six []*waiting
		for range 6 {
			six = append(six, b.wait(patient(time.Minute)))
		}
		begun := func() (turns []throttle.Permit) {
			for _, w := range six {
				if w.answered() {
					turns = append(turns, w.turn)
				}
			}
			return turns
		}
		require.Empty(t, begun(), "none before the lease is there")
		pass(10 * time.Millisecond)
		require.Len(t, begun(), 3)

		pass(2 * time.Second)
		require.Len(t, begun(), 3)
		assert.Equal(t, 3, b.last().InFlight)
		assert.Equal(t, 3, b.last().Waiting)
		assert.Equal(t, 3, b.last().Has.InFlight)

		b.gives(always(lend(postdate.Pace{InFlight: 5})))
		pass(1010 * time.Millisecond) // it asks each second while it wants more
		require.Len(t, begun(), 5)

		b.gives(always(lend(postdate.Pace{InFlight: 2})))
		pass(1010 * time.Millisecond)
		turns := begun()
		for _, turn := range turns[:3] {
			turn.Release(accepted)
			synctest.Wait()
			require.Len(t, begun(), 5, "two or more are in flight still")
		}
		turns[3].Release(accepted)
		synctest.Wait()
		require.Len(t, begun(), 6)
	})
}

func TestLease_IsRenewedWhileItIsNeeded(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.first()
		pass(20 * time.Second)
		var times []time.Duration
		for _, ask := range b.all() {
			times = append(times, ask.At)
		}
		require.Equal(t, []time.Duration{
			0, 3 * time.Second, 6 * time.Second, 9 * time.Second, 12 * time.Second, 15 * time.Second, 18 * time.Second,
		}, times)
		turn.Release(accepted)
	})
}

func TestLease_OneThatHasEndedIsWorthNothing(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *fixture) {
		t.Helper()
		b.takes = 2 * time.Second // it counts from before it was asked for
		w := b.wait(patient(time.Minute))
		<-w.done
		require.Equal(t, 2*time.Second, b.after())
		b.gives(never)
		pass(10*time.Second - time.Millisecond - b.after())
		b.take()
		pass(time.Millisecond)
		w = b.wait(patient(3 * time.Second))
		<-w.done
		require.Nil(t, w.turn)
		require.ErrorIs(t, w.err, errAway, "nothing could be found out")
		require.Equal(t, 3*time.Second, w.took)

		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		w = b.wait(patient(time.Minute))
		<-w.done
		require.NotNil(t, w.turn)
	})
}

func TestLease_IsGivenBackWhenItIsIdle(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerSecond: 10, Burst: 5}}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		lease := lend(b.e.Pace(100))
		lease.Tokens = 5
		b.gives(always(lease))
		turn := b.first()
		pass(time.Second)
		turn.Release(accepted)
		require.Len(t, b.all(), 1)
		pass(time.Second)
		require.Len(t, b.all(), 2)
		back := b.last()
		assert.Zero(t, back.InFlight+back.Waiting)
		assert.Equal(t, 1, back.Feedback.Succeeded)
		assert.InDelta(t, 5, back.Tokens, 1e-6, "with what it saved up")
		assert.Less(t, back.At, 1500*time.Millisecond)
		pass(time.Hour)
		require.Len(t, b.all(), 2)
		b.first()
	})
}

func TestLease_ATurnThatWasNotUsedIsGivenBack(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerMinute: 1}}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		lease := lend(b.e.Pace(100))
		lease.Tokens = 1
		b.gives(func(a asked) (protocol.Lease, error) {
			given := lease
			lease.Tokens = 0
			return given, nil
		})
		b.first().Release(unmade)
		b.take().Release(postdate.Attempt{Outcome: protocol.NotEnabled})
		turn := b.take()
		w := b.wait(patient(2 * time.Minute))
		require.False(t, w.answered())
		turn.Release(accepted)
		<-w.done
		require.NotNil(t, w.turn)
		require.InDelta(t, time.Minute, b.after(), float64(time.Millisecond))
		require.NotContains(t, fmt.Sprint(b.all()), "Failed:1")
	})
}

func TestLease_NewLimitsAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(func(a asked) (protocol.Lease, error) { return always(lend(a.Settings.Pace))(a) })
		turn := b.first()
		pass(time.Second)
		b.e.MaxInFlight = 20
		b.p.config.Tenants.(*tenants).one.Endpoints[0] = b.e
		b.take().Release(accepted)
		synctest.Wait()
		require.Len(t, b.all(), 2)
		require.Equal(t, 20, b.last().Settings.Pace.InFlight)
		turn.Release(accepted)
	})
}
