package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

func TestLease_OnlyDequeuedRequestsGetPermitsWhileLinesWait(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		lease := lend(postdate.Pace{InFlight: 10})
		lease.Waiting = 5
		f.takes = 5 * time.Millisecond
		f.gives(always(lease))
		fresh := f.wait(throttle.PermitRequest{Since: time.Now().Add(-time.Hour)})
		called := f.wait(dequeued(time.Second))
		pass(10 * time.Millisecond)
		require.True(t, fresh.answered(), "once it is known that lines wait")
		require.Nil(t, fresh.permit)
		require.True(t, called.answered())
		require.NotNil(t, called.permit)

		permit, waited := f.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, permit)
		require.Zero(t, waited)
		f.take().Release(accepted)

		lease.Waiting = 0
		f.gives(always(lease))
		pass(5 * time.Second)
		permit, waited = f.try(throttle.PermitRequest{Since: time.Now()})
		require.NotNil(t, permit, "no line waits any more")
		require.Zero(t, waited)
	})
}

func TestLease_TheOldestIsServedFirst(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.first()
		ages := []time.Duration{3, 9, 1, 7, 5, 8, 2, 6, 4}
		waiting := make(map[time.Duration]*waiting)
		for _, age := range ages {
			waiting[age] = f.wait(throttle.PermitRequest{Dequeued: true, Since: f.start.Add(-age), MaxWait: time.Minute})
		}
		for age := time.Duration(9); age > 0; age-- {
			for younger := range age {
				if younger > 0 {
					require.False(t, waiting[younger].answered())
				}
			}
			permit.Release(accepted)
			<-waiting[age].done
			permit = waiting[age].permit
			require.NotNil(t, permit)
		}
		permit.Release(accepted)
	})
}
