package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// Nobody waits in place behind so many that his turn could not come in time.
func TestCrowd_WhoWouldWaitInVainGoesInLineAtOnce(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		made    postdate.Attempt
		inPlace int
	}{
		"nobody knows how long it takes": {unmade, maxLocalWaiters},
		"it takes 1.5 s":                 {postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 1500}, maxLocalWaiters},
		"it takes 50 ms":                 {postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 50}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{}, Config{MaxInFlight: 2}, func(t *testing.T, b *fixture) {
				t.Helper()
				b.gives(always(lend(postdate.Pace{InFlight: 2})))
				b.take().Release(test.made)
				b.take()
				b.take()
				for range test.inPlace {
					require.False(t, b.wait(throttle.PermitRequest{Since: time.Now()}).answered())
				}
				turn, waited := b.try(throttle.PermitRequest{Since: time.Now()})
				require.Nil(t, turn)
				require.Zero(t, waited)
				require.False(t, b.wait(patient(time.Minute)).answered(), "who was called waits")
			})
		})
	}
}
