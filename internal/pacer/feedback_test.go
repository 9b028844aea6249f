package pacer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestLease_ThreeFailuresStopPermitsUntilTheyAreReported(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, f *fixture) {
		t.Helper()
		permits := []throttle.Permit{f.first(), f.take(), f.take(), f.take()}
		pass(time.Second)
		f.takes = 100 * time.Millisecond
		permits[0].Release(broken)
		permits[1].Release(broken)
		f.take().Release(unmade)
		permits[2].Release(broken)
		w := f.wait(dequeued(time.Minute))
		require.False(t, w.answered())
		assert.Equal(t, 3, f.last().Feedback.Trailing)
		assert.Equal(t, time.Second, f.last().At, "at once")
		pass(99 * time.Millisecond)
		require.False(t, w.answered())
		pass(time.Millisecond)
		require.True(t, w.answered())
		require.NotNil(t, w.permit)
	})
}

func TestLease_ARetryAfterIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.first()
		pass(time.Second)
		until := time.Now().Add(time.Minute)
		f.takes = 100 * time.Millisecond
		f.gives(func(r leaseCall) (protocol.Lease, error) {
			lease := lend(postdate.Pace{})
			lease.BlockedUntil, lease.Reason = until, "the receiver asked to be left alone"
			return lease, nil
		})
		permit.Release(postdate.Attempt{Outcome: postdate.Failed, Status: 429, RetryAfter: postdate.Duration(time.Minute)})
		called, fresh := f.wait(dequeued(3*time.Second)), f.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, called.answered())
		assert.True(t, f.last().Feedback.NotBefore.Equal(until))
		assert.Equal(t, time.Second, f.last().At)

		pass(minInterval + 2*f.takes) // once it was reported, and a lease was requested for both
		require.True(t, fresh.answered())
		require.Nil(t, fresh.permit)
		<-called.done
		require.Nil(t, called.permit)
		require.NoError(t, called.err)

		many := len(f.all())
		pass(30 * time.Second)
		require.Less(t, len(f.all())-many, 3, "there is nothing to request")
		for range 100 {
			permit, waited := f.try(throttle.PermitRequest{Since: time.Now()})
			require.Nil(t, permit)
			require.LessOrEqual(t, waited, 300*time.Millisecond)
		}
		require.Less(t, len(f.all())-many, 6)

		f.gives(always(lend(postdate.Pace{InFlight: 10})))
		pass(time.Minute)
		f.first()
	})
}

func TestLease_TheResultOfAProbeIsReportedAtOnce(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		probe := lend(postdate.Pace{InFlight: 1, PerSecond: 1.0 / 3600, Burst: 1})
		probe.Tokens, probe.Reason = 1, "one attempt is made to see whether the receiver is back"
		f.gives(func(r leaseCall) (protocol.Lease, error) {
			given := probe
			if r.Feedback.Succeeded > 0 {
				given = lend(postdate.Pace{InFlight: 10})
			} else if r.Has.InFlight > 0 {
				given.Tokens = 0
			}
			return always(given)(r)
		})
		permit := f.first()
		second := f.wait(dequeued(time.Minute))
		pass(9*time.Second + 500*time.Millisecond)
		require.False(t, second.answered(), "one attempt and no more")
		permit.Release(accepted)
		synctest.Wait()
		require.True(t, second.answered(), "it was reported at once")
		second.permit.Release(accepted)
	})
}

// A stream has no status: what its broker says stands in the outcome and in busy.
func TestAddAttempt_ReadsAttemptsAtStreams(t *testing.T) {
	t.Parallel()
	now := time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC)
	stored := postdate.Attempt{Outcome: postdate.Accepted, DurationMS: 5}
	require.Equal(t, throttle.Feedback{Succeeded: 1, Answered: 1, LatencyMS: 5}, addAttempt(throttle.Feedback{}, stored, now))
	busy := postdate.Attempt{Outcome: postdate.Failed, Busy: true, DurationMS: 5}
	require.Equal(t, throttle.Feedback{Failed: 1, Slowed: 1, Trailing: 1}, addAttempt(throttle.Feedback{}, busy, now))
	require.True(t, asksForLess(busy))
	refused := postdate.Attempt{Outcome: postdate.Refused}
	require.Equal(t, throttle.Feedback{}, addAttempt(throttle.Feedback{}, refused, now), "it says nothing of the next message")
}
