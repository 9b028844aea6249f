package pacer

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

func TestLease_ThreeFailuresHoldUntilTheyAreTold(t *testing.T) {
	t.Parallel()
	leased(t, 10, func(t *testing.T, b *booth) {
		t.Helper()
		turns := []activities.Turn{b.first(), b.take(), b.take(), b.take()}
		pass(time.Second)
		b.takes = 100 * time.Millisecond
		turns[0].Done(broken)
		turns[1].Done(broken)
		b.take().Done(unmade)
		turns[2].Done(broken)
		w := b.wait(patient(time.Minute))
		require.False(t, w.answered())
		assert.Equal(t, 3, b.last().Seen.Trailing)
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
	leased(t, 10, func(t *testing.T, b *booth) {
		t.Helper()
		turn := b.first()
		pass(time.Second)
		until := time.Now().Add(time.Minute)
		b.takes = 100 * time.Millisecond
		b.gives(func(a asked) (workflows.Lease, error) {
			lease := lend(postdate.Pace{})
			lease.ClosedUntil, lease.Reason = until, "the receiver asked to be left alone"
			return lease, nil
		})
		turn.Done(postdate.Attempt{Outcome: postdate.Failed, Status: 429, RetryAfter: postdate.Duration(time.Minute)})
		called, fresh := b.wait(patient(3*time.Second)), b.wait(activities.Claim{Since: time.Now()})
		require.False(t, called.answered())
		assert.True(t, b.last().Seen.NotBefore.Equal(until))
		assert.Equal(t, time.Second, b.last().At)

		pass(breath + 2*b.takes) // once it was told, and asked for those who came meanwhile
		require.True(t, fresh.answered())
		require.Nil(t, fresh.turn)
		<-called.done
		require.Nil(t, called.turn)
		require.NoError(t, called.err)

		many := len(b.all())
		pass(30 * time.Second)
		require.Less(t, len(b.all())-many, 3, "there is nothing to ask for")
		for range 100 {
			turn, waited := b.try(activities.Claim{Since: time.Now()})
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
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		probe := lend(postdate.Pace{InFlight: 1, PerSecond: 1.0 / 3600, Burst: 1})
		probe.Tokens, probe.Reason = 1, "one is made to see whether the receiver is back"
		b.gives(func(a asked) (workflows.Lease, error) {
			given := probe
			if a.Seen.Succeeded > 0 {
				given = lend(postdate.Pace{InFlight: 10})
			} else if a.Held.InFlight > 0 {
				given.Tokens = 0
			}
			return always(given)(a)
		})
		turn := b.first()
		second := b.wait(patient(time.Minute))
		pass(9*time.Second + 500*time.Millisecond)
		require.False(t, second.answered(), "one and no more")
		turn.Done(accepted)
		synctest.Wait()
		require.True(t, second.answered(), "it was told at once")
		second.turn.Done(accepted)
	})
}
