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

func TestLease_ThreeFailuresHoldUntilTheyAreTold(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *fixture) {
		t.Helper()
		turns := []throttle.Permit{b.first(), b.take(), b.take(), b.take()}
		pass(time.Second)
		b.takes = 100 * time.Millisecond
		turns[0].Release(broken)
		turns[1].Release(broken)
		b.take().Release(unmade)
		turns[2].Release(broken)
		w := b.wait(patient(time.Minute))
		require.False(t, w.answered())
		assert.Equal(t, 3, b.last().Feedback.Trailing)
		assert.Equal(t, time.Second, b.last().At, "at once")
		pass(99 * time.Millisecond)
		require.False(t, w.answered())
		pass(time.Millisecond)
		require.True(t, w.answered())
		require.NotNil(t, w.turn)
	})
}

func TestLease_RetryAfterIsToldAtOnce(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.first()
		pass(time.Second)
		until := time.Now().Add(time.Minute)
		b.takes = 100 * time.Millisecond
		b.gives(func(a asked) (protocol.Lease, error) {
			lease := lend(postdate.Pace{})
			lease.BlockedUntil, lease.Reason = until, "the receiver asked to be left alone"
			return lease, nil
		})
		turn.Release(postdate.Attempt{Outcome: postdate.Failed, Status: 429, RetryAfter: postdate.Duration(time.Minute)})
		called, fresh := b.wait(patient(3*time.Second)), b.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, called.answered())
		assert.True(t, b.last().Feedback.NotBefore.Equal(until))
		assert.Equal(t, time.Second, b.last().At)

		pass(minInterval + 2*b.takes) // once it was told, and asked for those who came meanwhile
		require.True(t, fresh.answered())
		require.Nil(t, fresh.turn)
		<-called.done
		require.Nil(t, called.turn)
		require.NoError(t, called.err)

		many := len(b.all())
		pass(30 * time.Second)
		require.Less(t, len(b.all())-many, 3, "there is nothing to ask for")
		for range 100 {
			turn, waited := b.try(throttle.PermitRequest{Since: time.Now()})
			require.Nil(t, turn)
			require.LessOrEqual(t, waited, 300*time.Millisecond)
		}
		require.Less(t, len(b.all())-many, 6)

		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		pass(time.Minute)
		b.first()
	})
}

func TestLease_AProbeIsToldOfAtOnce(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		probe := lend(postdate.Pace{InFlight: 1, PerSecond: 1.0 / 3600, Burst: 1})
		probe.Tokens, probe.Reason = 1, "one is made to see whether the receiver is back"
		b.gives(func(a asked) (protocol.Lease, error) {
			given := probe
			if a.Feedback.Succeeded > 0 {
				given = lend(postdate.Pace{InFlight: 10})
			} else if a.Has.InFlight > 0 {
				given.Tokens = 0
			}
			return always(given)(a)
		})
		turn := b.first()
		second := b.wait(patient(time.Minute))
		pass(9*time.Second + 500*time.Millisecond)
		require.False(t, second.answered(), "one and no more")
		turn.Release(accepted)
		synctest.Wait()
		require.True(t, second.answered(), "it was told at once")
		second.turn.Release(accepted)
	})
}
