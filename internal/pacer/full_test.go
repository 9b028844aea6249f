package pacer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

// A request does not wait in place behind so many that its permit could not come in time.
func TestAcquire_QueuesAtOnceWhereTooManyWaitInPlace(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		attempt postdate.Attempt
		inPlace int
	}{
		"nothing is known of its duration": {unmade, maxLocalWaiters},
		"an attempt takes 1.5 s":           {postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 1500}, maxLocalWaiters},
		"an attempt takes 50 ms":           {postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 50}, 40},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{}, Config{MaxInFlight: 2}, func(t *testing.T, f *fixture) {
				t.Helper()
				f.gives(always(lend(postdate.Pace{InFlight: 2})))
				f.take().Release(test.attempt)
				f.take()
				f.take()
				for range test.inPlace {
					require.False(t, f.wait(throttle.PermitRequest{Since: time.Now()}).answered())
				}
				permit, waited := f.try(throttle.PermitRequest{Since: time.Now()})
				require.Nil(t, permit)
				require.Zero(t, waited)
				require.False(t, f.wait(dequeued(time.Minute)).answered(), "a dequeued request waits")
			})
		})
	}
}
