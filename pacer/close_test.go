package pacer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestClose_GivesLeasesBackAndEndsAllWaiting(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, b *booth) {
		t.Helper()
		turn := b.first()
		w := b.wait(patient(time.Minute))
		b.takes = 100 * time.Millisecond
		pass(950 * time.Millisecond)
		turn.Done(unmade)
		synctest.Wait()
		require.True(t, w.answered())
		w.turn.Done(accepted)
		late := b.wait(patient(time.Minute))
		require.True(t, late.answered())
		other := b.wait(patient(time.Minute))
		late.turn.Done(accepted)
		<-other.done
		other.turn.Done(accepted)

		b.p.Close()
		require.Zero(t, b.last().InFlight+b.last().Asking)
		require.Equal(t, 3, b.last().Seen.Succeeded)
		_, err := b.p.Take(t.Context(), "acme", b.e, patient(time.Minute))
		require.ErrorIs(t, err, errClosed)
		many := len(b.all())
		b.p.Close()
		pass(time.Minute)
		require.Len(t, b.all(), many)
	})
}

func TestClose_EndsAllWaiting(t *testing.T) {
	t.Parallel()
	leased(t, 1, func(t *testing.T, b *booth) {
		t.Helper()
		turn := b.first()
		w := b.wait(patient(time.Minute))
		b.p.Close()
		<-w.done
		require.ErrorIs(t, w.err, errClosed)
		turn.Done(accepted) // it was good
	})
}

func TestClose_WaitsNoLongerThanItMay(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *booth) {
		t.Helper()
		b.first().Done(accepted)
		b.takes = time.Hour
		began := time.Now()
		b.p.Close()
		require.LessOrEqual(t, time.Since(began), closeTimeout)
	})
}
