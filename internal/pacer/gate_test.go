package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

func TestLease_WhoWasNotCalledGoesInLineWhileOthersWaitThere(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		lease := lend(postdate.Pace{InFlight: 10})
		lease.Waiting = 5
		b.takes = 5 * time.Millisecond
		b.gives(always(lease))
		fresh := b.wait(throttle.PermitRequest{Since: time.Now().Add(-time.Hour)})
		called := b.wait(patient(time.Second))
		pass(10 * time.Millisecond)
		require.True(t, fresh.answered(), "once it is known that others wait")
		require.Nil(t, fresh.turn)
		require.True(t, called.answered())
		require.NotNil(t, called.turn)

		turn, waited := b.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, turn)
		require.Zero(t, waited)
		b.take().Release(accepted)

		lease.Waiting = 0
		b.gives(always(lease))
		pass(5 * time.Second)
		turn, waited = b.try(throttle.PermitRequest{Since: time.Now()})
		require.NotNil(t, turn, "nobody waits any more")
		require.Zero(t, waited)
	})
}

func TestLease_TheOldestIsServedFirst(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.first()
		ages := []time.Duration{3, 9, 1, 7, 5, 8, 2, 6, 4}
		waiting := make(map[time.Duration]*waiting)
		for _, age := range ages {
			waiting[age] = b.wait(throttle.PermitRequest{Dequeued: true, Since: b.start.Add(-age), MaxWait: time.Minute})
		}
		for age := time.Duration(9); age > 0; age-- {
			for younger := range age {
				if younger > 0 {
					require.False(t, waiting[younger].answered())
				}
			}
			turn.Release(accepted)
			<-waiting[age].done
			turn = waiting[age].turn
			require.NotNil(t, turn)
		}
		turn.Release(accepted)
	})
}
