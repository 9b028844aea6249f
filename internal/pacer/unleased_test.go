package pacer

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestUnleased_CountsUpToMaxInFlightAndThenWaits(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 3}, func(t *testing.T, f *fixture) {
		t.Helper()
		permits := []throttle.Permit{f.take(), f.take(), f.take()}
		fourth := f.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, fourth.answered())
		pass(500 * time.Millisecond)
		require.False(t, fourth.answered())

		permits[1].Release(accepted)
		permits[1].Release(accepted) // a second release of the same attempt does nothing
		synctest.Wait()
		require.True(t, fourth.answered())
		require.NotNil(t, fourth.permit)
		fifth := f.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, fifth.answered())
		permits[0].Release(unmade)
		<-fifth.done
		require.NotNil(t, fifth.permit)
		require.Empty(t, f.all(), "nothing is requested")
	})
}

func TestUnleased_IsLeasedOnceItsLimitIsReachedForLong(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 2}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(lend(postdate.Pace{InFlight: 3})))
		f.take()
		f.take()
		permit, waited := f.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, permit)
		require.Equal(t, defaultMaxWait, waited)
		synctest.Wait()
		require.Len(t, f.all(), 1)
		assert.Equal(t, 2, f.last().InFlight)
		assert.Equal(t, int64(7), f.last().Settings.Version)
		assert.Equal(t, postdate.Pace{InFlight: 2}, f.last().Settings.Pace)

		permit, waited = f.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, permit, "a newcomer does not overtake what was queued before")
		require.Zero(t, waited)
		f.take()
	})
}

func TestUnleased_ReportsItsResultsAboutOnceAMinute(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(protocol.Lease{}))
		const all = 600
		for range all {
			f.take().Release(accepted)
			pass(time.Second)
		}
		reported := 0
		for _, call := range f.all() {
			assert.True(t, call.ReportOnly)
			reported += call.Feedback.Succeeded
		}
		assert.InDelta(t, all/60, len(f.all()), 4, "about once a minute")
		assert.InDelta(t, all, reported, 95)
	})
}

func TestUnleased_IsLeasedAfterThreeFailures(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(lend(postdate.Pace{InFlight: 50})))
		f.take().Release(broken)
		f.take().Release(broken)
		f.take().Release(refused) // neither a failure nor a success
		synctest.Wait()
		require.Empty(t, f.all())
		open := f.take()
		f.take().Release(broken)
		synctest.Wait()
		require.Len(t, f.all(), 1, "it is reported at once")
		assert.False(t, f.last().ReportOnly)
		assert.Equal(t, throttle.Feedback{Failed: 3, Trailing: 3, Answered: 4, LatencyMS: 80}, f.last().Feedback)
		open.Release(accepted)
	})
}

func TestUnleased_IsLeasedWhenItsReceiverAsksForLess(t *testing.T) {
	t.Parallel()
	for name, attempt := range map[string]postdate.Attempt{
		"429":         {Outcome: postdate.Failed, Status: 429},
		"503":         {Outcome: postdate.Failed, Status: 503},
		"Retry-After": {Outcome: postdate.Failed, Status: 500, RetryAfter: postdate.Duration(30 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
				t.Helper()
				f.take().Release(attempt)
				synctest.Wait()
				require.Len(t, f.all(), 1)
				assert.False(t, f.last().ReportOnly)
				assert.Equal(t, 1, f.last().Feedback.Failed)
				if attempt.RetryAfter > 0 {
					assert.True(t, f.last().Feedback.NotBefore.Equal(f.start.Add(30*time.Second)))
				}
			})
		})
	}
}

func TestLease_EndsOnceTheEndpointIsWell(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		well := false
		f.gives(func(r leaseCall) (protocol.Lease, error) {
			lease, err := always(lend(postdate.Pace{InFlight: 10}))(r)
			lease.Required = !well
			return lease, err
		})
		for range 3 {
			f.take().Release(broken)
		}
		// It is busy all the time.
		busy := func(d time.Duration) {
			for end := f.after() + d; f.after() < end; {
				permit := f.first()
				pass(100 * time.Millisecond)
				permit.Release(accepted)
			}
		}
		busy(10 * time.Second)
		require.False(t, f.last().ReportOnly)
		f.mu.Lock()
		well = true
		f.mu.Unlock()
		busy(10 * time.Second)
		require.True(t, f.last().ReportOnly, "it returned its lease")
		many := len(f.all())
		busy(20 * time.Second)
		require.Len(t, f.all(), many, "and needs none")
		var permits []throttle.Permit
		for range 100 {
			permits = append(permits, f.take())
		}
		for _, permit := range permits {
			permit.Release(accepted)
		}
	})
}

func TestLease_ReportsAllResultsThoughTheEngineWasAway(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		for range 3 {
			f.take().Release(broken)
		}
		pass(4600 * time.Millisecond)
		require.Greater(t, len(f.all()), 1, "the request is repeated")
		require.Less(t, len(f.all()), 8, "but not all the time")
		f.gives(always(lend(postdate.Pace{InFlight: 10})))
		f.first().Release(broken)
		pass(4 * time.Second)
		reported := throttle.Feedback{}
		for _, call := range f.all() {
			if call.At >= 4600*time.Millisecond {
				reported = merge(reported, call.Feedback)
			}
		}
		assert.Equal(t, throttle.Feedback{Failed: 4, Trailing: 4, Answered: 4, LatencyMS: 80}, reported)
	})
}

func TestAcquire_ACancelledRequestLosesNoPermit(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 1}, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.take()
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := f.p.Acquire(ctx, "acme", f.e, dequeued(time.Minute))
			gone <- err
		}()
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-gone, context.Canceled)
		_, err := f.p.Acquire(ctx, "acme", f.e, dequeued(time.Minute))
		require.ErrorIs(t, err, context.Canceled)
		permit.Release(accepted)
		f.take().Release(accepted)
	})
}

func TestAcquire_DropsLimitersThatAreNotUsed(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.gives(always(protocol.Lease{}))
		for range 100 {
			f.e.ID = "ep_" + f.after().String()
			f.take().Release(accepted)
			pass(5 * time.Second)
		}
		f.p.mu.Lock()
		defer f.p.mu.Unlock()
		require.Less(t, len(f.p.limiters), 40, "of a hundred")
	})
}
