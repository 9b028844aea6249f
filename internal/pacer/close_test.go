package pacer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClose_ReturnsLeasesAndResolvesAllWaiters(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.first()
		w := f.wait(dequeued(time.Minute))
		f.takes = 100 * time.Millisecond
		pass(950 * time.Millisecond)
		permit.Release(unmade)
		synctest.Wait()
		require.True(t, w.answered())
		w.permit.Release(accepted)
		late := f.wait(dequeued(time.Minute))
		require.True(t, late.answered())
		other := f.wait(dequeued(time.Minute))
		late.permit.Release(accepted)
		<-other.done
		other.permit.Release(accepted)

		f.p.Close()
		require.Zero(t, f.last().InFlight+f.last().Waiting)
		require.Equal(t, 3, f.last().Feedback.Succeeded)
		_, err := f.p.Acquire(t.Context(), "acme", f.e, dequeued(time.Minute))
		require.ErrorIs(t, err, errClosed)
		many := len(f.all())
		f.p.Close()
		pass(time.Minute)
		require.Len(t, f.all(), many)
	})
}

func TestClose_ResolvesAllWaiters(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.first()
		w := f.wait(dequeued(time.Minute))
		f.p.Close()
		<-w.done
		require.ErrorIs(t, w.err, errClosed)
		permit.Release(accepted) // permits that were issued stay good
	})
}

func TestClose_IsBounded(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, f *fixture) {
		t.Helper()
		f.first().Release(accepted)
		f.takes = time.Hour
		began := time.Now()
		f.p.Close()
		require.LessOrEqual(t, time.Since(began), closeTimeout)
	})
}
