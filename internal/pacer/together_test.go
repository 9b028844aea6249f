package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

func together(turns int) throttle.PermitRequest {
	return throttle.PermitRequest{Since: time.Now(), N: turns}
}

// Two of which neither has all its turns would wait for each other.
func TestTogether_AllTurnsComeAtOnceOrNone(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 100}, func(t *testing.T, b *fixture) {
		t.Helper()
		first, waited := b.try(together(80))
		require.NotNil(t, first)
		require.Zero(t, waited)
		second := b.wait(together(80))
		for range 59 {
			first.Release(accepted)
		}
		require.False(t, second.answered())
		first.Release(accepted)
		<-second.done
		require.NotNil(t, second.turn)
		require.Empty(t, b.all(), "it is calm")

		for range 100 {
			first.Release(accepted) // 20 are left
		}
		third, _ := b.try(together(20))
		require.NotNil(t, third)
		fourth := b.wait(together(1))
		require.False(t, fourth.answered())
		third.Release(unmade)
		<-fourth.done
		require.NotNil(t, fourth.turn)
	})
}

func TestTogether_WhatIsNeverThereAtOnceIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pace  postdate.Pace
		turns int
		given bool
	}{
		"as many as may be in flight": {postdate.Pace{InFlight: 10}, 10, true},
		"more":                        {postdate.Pace{InFlight: 10}, 11, false},
		"as many as the burst":        {postdate.Pace{InFlight: 10, PerSecond: 50, Burst: 5}, 5, true},
		"more than that":              {postdate.Pace{InFlight: 10, PerSecond: 50, Burst: 5}, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{MaxInFlight: 10}, Config{}, func(t *testing.T, b *fixture) {
				t.Helper()
				lease := lend(test.pace)
				lease.Tokens = float64(test.pace.Burst)
				b.gives(always(lease))
				b.first().Release(accepted)
				pass(retryInterval)
				turn, waited := b.try(together(test.turns))
				require.Equal(t, test.given, turn != nil)
				if !test.given {
					require.Zero(t, waited)
				}
			})
		})
	}
}
