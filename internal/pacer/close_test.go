package pacer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClose_GivesLeasesBackAndEndsAllWaiting(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.first()
		w := b.wait(patient(time.Minute))
		b.takes = 100 * time.Millisecond
		pass(950 * time.Millisecond)
		turn.Release(unmade)
		synctest.Wait()
		require.True(t, w.answered())
		w.turn.Release(accepted)
		late := b.wait(patient(time.Minute))
		require.True(t, late.answered())
		other := b.wait(patient(time.Minute))
		late.turn.Release(accepted)
		<-other.done
		other.turn.Release(accepted)

		b.p.Close()
		require.Zero(t, b.last().InFlight+b.last().Waiting)
		require.Equal(t, 3, b.last().Feedback.Succeeded)
		_, err := b.p.Acquire(t.Context(), "acme", b.e, patient(time.Minute))
		require.ErrorIs(t, err, errClosed)
		many := len(b.all())
		b.p.Close()
		pass(time.Minute)
		require.Len(t, b.all(), many)
	})
}

func TestClose_EndsAllWaiting(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.first()
		w := b.wait(patient(time.Minute))
		b.p.Close()
		<-w.done
		require.ErrorIs(t, w.err, errClosed)
		turn.Release(accepted) // it was good
	})
}

func TestClose_WaitsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *fixture) {
		t.Helper()
		b.first().Release(accepted)
		b.takes = time.Hour
		began := time.Now()
		b.p.Close()
		require.LessOrEqual(t, time.Since(began), closeTimeout)
	})
}
