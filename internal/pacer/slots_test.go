package pacer

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// fill takes slots for tenants in turn until none gets another.
func fill(t *testing.T, s *slots, tenants ...string) map[string]int {
	t.Helper()
	held, full := map[string]int{}, map[string]bool{}
	for len(full) < len(tenants) {
		for _, tenant := range tenants {
			if err := s.acquire(t.Context(), tenant, 1, 0, false); err != nil {
				require.ErrorIs(t, err, throttle.ErrNoPermit)
				full[tenant] = true
				continue
			}
			held[tenant]++
		}
	}
	return held
}

func TestSlots_SomeAreAlwaysFreeForATenantThatHasNone(t *testing.T) {
	t.Parallel()
	for greedy, part := range map[int]int{1: 750, 2: 428, 3: 300, 10: 96, 100: 9} {
		t.Run(fmt.Sprint(greedy), func(t *testing.T) {
			t.Parallel()
			s := newSlots(1000, time.Now)
			var tenants []string
			for i := range greedy {
				tenants = append(tenants, fmt.Sprint("greedy-", i))
			}
			for tenant, held := range fill(t, s, tenants...) {
				assert.InDelta(t, part, held, 1.5, tenant)
			}
			require.NoError(t, s.acquire(t.Context(), "other", 1, 0, false))
		})
	}
}

func TestSlots_OfAFewOneIsKeptFreeToo(t *testing.T) {
	t.Parallel()
	s := newSlots(4, time.Now)
	require.Equal(t, map[string]int{"a": 3}, fill(t, s, "a"))
	require.NoError(t, s.acquire(t.Context(), "b", 1, 0, false))
}

func TestSlots_TenantsThatWaitAreServedInTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(100, time.Now)
		held := fill(t, s, "a", "b")
		served := make(chan string, 20)
		for range 10 {
			for _, tenant := range []string{"a", "b"} {
				go func() {
					if s.acquire(t.Context(), tenant, 1, time.Minute, false) == nil {
						served <- tenant
					}
				}()
			}
			synctest.Wait()
		}
		require.Empty(t, served)
		count := map[string]int{}
		for i := range 10 {
			s.release([]string{"a", "b"}[i%2], time.Second)
			synctest.Wait()
			count[<-served]++
		}
		require.Equal(t, map[string]int{"a": 5, "b": 5}, count)
		require.Equal(t, held["a"], s.tenants["a"].used)
	})
}

func TestSlots_SeveralComeAllAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(100, time.Now)
		require.NoError(t, s.acquire(t.Context(), "a", 60, time.Minute, false))
		require.ErrorIs(t, s.acquire(t.Context(), "a", 80, time.Minute, false), throttle.ErrNoPermit, "there are never so many")
		waiting := make(chan error, 1)
		go func() { waiting <- s.acquire(t.Context(), "a", 40, time.Minute, false) }()
		for range 24 {
			s.release("a", time.Second)
			synctest.Wait()
			require.Empty(t, waiting)
		}
		s.release("a", time.Second)
		require.NoError(t, <-waiting)
		require.Equal(t, 75, s.tenants["a"].used)
	})
}

func TestSlots_WhoWaitsIsBoundedInTimeAndNumber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newSlots(100, time.Now)
		fill(t, s, "a")
		began, results := time.Now(), make(chan error, 10)
		for range 10 {
			go func() { results <- s.acquire(t.Context(), "a", 1, time.Second, false) }()
		}
		synctest.Wait()
		require.ErrorIs(t, s.acquire(t.Context(), "a", 1, time.Second, false), throttle.ErrNoPermit)
		require.Zero(t, time.Since(began), "an eleventh does not wait")
		for range 10 {
			require.ErrorIs(t, <-results, throttle.ErrNoPermit)
		}
		require.Equal(t, time.Second, time.Since(began))

		ctx, cancel := context.WithCancel(t.Context())
		go func() { results <- s.acquire(ctx, "a", 1, time.Minute, true) }()
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-results, context.Canceled)
		for range 75 {
			s.release("a", time.Second)
		}
		require.Empty(t, s.tenants)
		require.Equal(t, 100, s.free)
		require.Zero(t, s.waiting.Len())
	})
}

// Four thousand that are refused at once come back at about the rate at which slots become
// free, and not all of them every second.
func TestSchedule_SpreadsWhatIsRefused(t *testing.T) {
	t.Parallel()
	var s schedule
	now := time.Now()
	perSecond := map[int]int{}
	for range 4000 {
		var refused *throttle.NoPermitError
		require.ErrorAs(t, s.refuse(now, time.Second, 0, 100, ""), &refused)
		require.GreaterOrEqual(t, refused.RetryAfter, minRetry)
		require.LessOrEqual(t, refused.RetryAfter, maxRetry)
		perSecond[int(refused.RetryAfter/time.Second)]++
	}
	for second, n := range perSecond {
		require.Less(t, n, 250, "%d s", second)
	}
	require.Less(t, s.next.Sub(now), 45*time.Second)

	var slow schedule
	for range 4000 {
		require.Error(t, slow.refuse(now, time.Minute, 0, 1, ""))
	}
	require.Equal(t, maxRetry, slow.next.Sub(now), "what is refused does not add up for ever")
}

func TestPacer_ATenantWhoseReceiversHangLeavesSlotsForOthers(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{Slots: 100}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(lend(postdate.Pace{InFlight: 100})))
		hanging := 0
		for i := range 500 {
			f.e.ID = fmt.Sprint("ep_", i)
			if permit, _ := f.try(throttle.PermitRequest{Since: time.Now(), MaxWait: time.Millisecond}); permit != nil {
				hanging++
			}
		}
		require.Equal(t, 75, hanging)
		permit, err := f.p.Acquire(t.Context(), "other", f.e, throttle.PermitRequest{Since: time.Now()})
		require.NoError(t, err)
		require.Equal(t, 76, 100-f.p.slots.free)
		permit.Release(accepted)
		permit.Release(accepted)
		require.Equal(t, 75, 100-f.p.slots.free, "a slot is released once")
	})
}

func TestPacer_APermitForWhichThereIsNoSlotIsReturned(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{MaxInFlight: 10}, Config{Slots: 4}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(lend(postdate.Pace{InFlight: 10})))
		permits := []throttle.Permit{f.first(), f.take(), f.take()}
		permit, waited := f.try(dequeued(3 * time.Second))
		require.Nil(t, permit)
		require.Equal(t, 3*time.Second, waited)
		waiting := f.wait(dequeued(time.Minute))
		require.False(t, waiting.answered())
		permits[0].Release(accepted)
		<-waiting.done
		require.NotNil(t, waiting.permit)
	})
}
