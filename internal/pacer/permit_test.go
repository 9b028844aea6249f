package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

func several(n int) throttle.PermitRequest {
	return throttle.PermitRequest{Since: time.Now(), N: n}
}

// Two requests of which neither has all its permits would wait for each other.
func TestAcquire_IssuesSeveralPermitsAllAtOnceOrNotAtAll(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 100}, func(t *testing.T, f *fixture) {
		t.Helper()
		first, waited := f.try(several(80))
		require.NotNil(t, first)
		require.Zero(t, waited)
		second := f.wait(several(80))
		for range 59 {
			first.Release(accepted)
		}
		require.False(t, second.answered())
		first.Release(accepted)
		<-second.done
		require.NotNil(t, second.permit)
		require.Empty(t, f.all(), "it is unleased")

		for range 100 {
			first.Release(accepted) // 20 are left
		}
		third, _ := f.try(several(20))
		require.NotNil(t, third)
		fourth := f.wait(several(1))
		require.False(t, fourth.answered())
		third.Release(unmade)
		<-fourth.done
		require.NotNil(t, fourth.permit)
	})
}

func TestAcquire_DoesNotWaitForMorePermitsThanThereEverAre(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pace    postdate.Pace
		permits int
		given   bool
	}{
		"as many as may be in flight": {postdate.Pace{InFlight: 10}, 10, true},
		"more":                        {postdate.Pace{InFlight: 10}, 11, false},
		"as many as the burst":        {postdate.Pace{InFlight: 10, PerSecond: 50, Burst: 5}, 5, true},
		"more than that":              {postdate.Pace{InFlight: 10, PerSecond: 50, Burst: 5}, 6, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{MaxInFlight: 10}, Config{}, func(t *testing.T, f *fixture) {
				t.Helper()
				lease := lend(test.pace)
				lease.Tokens = float64(test.pace.Burst)
				f.gives(always(lease))
				f.first().Release(accepted)
				pass(retryInterval)
				permit, waited := f.try(several(test.permits))
				require.Equal(t, test.given, permit != nil)
				if !test.given {
					require.Zero(t, waited)
				}
			})
		})
	}
}
