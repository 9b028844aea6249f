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

func TestCalm_IsCountedUpToMaxInFlightAndThenWaits(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 3}, func(t *testing.T, b *fixture) {
		t.Helper()
		turns := []throttle.Permit{b.take(), b.take(), b.take()}
		fourth := b.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, fourth.answered())
		pass(500 * time.Millisecond)
		require.False(t, fourth.answered())

		turns[1].Release(accepted)
		turns[1].Release(accepted) // twice is once
		synctest.Wait()
		require.True(t, fourth.answered())
		require.NotNil(t, fourth.turn)
		fifth := b.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, fifth.answered())
		turns[0].Release(unmade)
		<-fifth.done
		require.NotNil(t, fifth.turn)
		require.Empty(t, b.all(), "nobody need know")
	})
}

func TestCalm_WhoseCapIsReachedForLongIsSentToByLease(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 2}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 3})))
		b.take()
		b.take()
		turn, waited := b.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, turn)
		require.Equal(t, defaultMaxWait, waited)
		synctest.Wait()
		require.Len(t, b.all(), 1)
		assert.Equal(t, 2, b.last().InFlight)
		assert.Equal(t, int64(7), b.last().Settings.Version)
		assert.Equal(t, postdate.Pace{InFlight: 2}, b.last().Settings.Pace)

		turn, waited = b.try(throttle.PermitRequest{Since: time.Now()})
		require.Nil(t, turn, "who comes now does not pass whoever went in line before")
		require.Zero(t, waited)
		b.take()
	})
}

func TestCalm_IsToldOfNowAndThen(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(always(protocol.Lease{}))
		const all = 600
		for range all {
			b.take().Release(accepted)
			pass(time.Second)
		}
		told := 0
		for _, ask := range b.all() {
			assert.True(t, ask.ReportOnly)
			told += ask.Feedback.Succeeded
		}
		assert.InDelta(t, all/60, len(b.all()), 4, "about once a minute")
		assert.InDelta(t, all, told, 95)
	})
}

func TestCalm_ThreeFailuresHaveItSentToByLease(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 50})))
		b.take().Release(broken)
		b.take().Release(broken)
		b.take().Release(refused) // neither a failure nor a success
		synctest.Wait()
		require.Empty(t, b.all())
		open := b.take()
		b.take().Release(broken)
		synctest.Wait()
		require.Len(t, b.all(), 1, "it is told at once")
		assert.False(t, b.last().ReportOnly)
		assert.Equal(t, throttle.Feedback{Failed: 3, Trailing: 3, Answered: 4, LatencyMS: 80}, b.last().Feedback)
		open.Release(accepted)
	})
}

func TestCalm_ThatAsksForRestIsSentToByLease(t *testing.T) {
	t.Parallel()
	for name, made := range map[string]postdate.Attempt{
		"429":         {Outcome: postdate.Failed, Status: 429},
		"503":         {Outcome: postdate.Failed, Status: 503},
		"Retry-After": {Outcome: postdate.Failed, Status: 500, RetryAfter: postdate.Duration(30 * time.Second)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
				t.Helper()
				b.take().Release(made)
				synctest.Wait()
				require.Len(t, b.all(), 1)
				assert.False(t, b.last().ReportOnly)
				assert.Equal(t, 1, b.last().Feedback.Failed)
				if made.RetryAfter > 0 {
					assert.True(t, b.last().Feedback.NotBefore.Equal(b.start.Add(30*time.Second)))
				}
			})
		})
	}
}

func TestCalm_ItIsAgainOnceItIsWell(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		well := false
		b.gives(func(a asked) (protocol.Lease, error) {
			lease, err := always(lend(postdate.Pace{InFlight: 10}))(a)
			lease.Required = !well
			return lease, err
		})
		for range 3 {
			b.take().Release(broken)
		}
		// It is busy all the time.
		busy := func(d time.Duration) {
			for end := b.after() + d; b.after() < end; {
				turn := b.first()
				pass(100 * time.Millisecond)
				turn.Release(accepted)
			}
		}
		busy(10 * time.Second)
		require.False(t, b.last().ReportOnly)
		b.mu.Lock()
		well = true
		b.mu.Unlock()
		busy(10 * time.Second)
		require.True(t, b.last().ReportOnly, "it gave its lease back")
		many := len(b.all())
		busy(20 * time.Second)
		require.Len(t, b.all(), many, "and needs none")
		var turns []throttle.Permit
		for range 100 {
			turns = append(turns, b.take())
		}
		for _, turn := range turns {
			turn.Release(accepted)
		}
	})
}

func TestCalm_AllThatIsSeenIsToldThoughTheEngineIsAway(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		for range 3 {
			b.take().Release(broken)
		}
		pass(4600 * time.Millisecond)
		require.Greater(t, len(b.all()), 1, "it is asked again")
		require.Less(t, len(b.all()), 8, "but not all the time")
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		b.first().Release(broken)
		pass(4 * time.Second)
		told := throttle.Feedback{}
		for _, ask := range b.all() {
			if ask.At >= 4600*time.Millisecond {
				told = merge(told, ask.Feedback)
			}
		}
		assert.Equal(t, throttle.Feedback{Failed: 4, Trailing: 4, Answered: 4, LatencyMS: 80}, told)
	})
}

func TestTake_WhoGoesAwayLosesNoTurn(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{MaxInFlight: 1}, func(t *testing.T, b *fixture) {
		t.Helper()
		turn := b.take()
		ctx, leave := context.WithCancel(t.Context())
		gone := make(chan error)
		go func() {
			_, err := b.p.Acquire(ctx, "acme", b.e, patient(time.Minute))
			gone <- err
		}()
		synctest.Wait()
		leave()
		require.ErrorIs(t, <-gone, context.Canceled)
		_, err := b.p.Acquire(ctx, "acme", b.e, patient(time.Minute))
		require.ErrorIs(t, err, context.Canceled)
		turn.Release(accepted)
		b.take().Release(accepted)
	})
}

func TestTake_AnEndpointThatNobodyAsksForIsForgotten(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{}, Config{}, func(t *testing.T, b *fixture) {
		t.Helper()
		b.gives(always(protocol.Lease{}))
		for range 100 {
			b.e.ID = "ep_" + b.after().String()
			b.take().Release(accepted)
			pass(5 * time.Second)
		}
		b.p.mu.Lock()
		defer b.p.mu.Unlock()
		require.Less(t, len(b.p.limiters), 40, "of a hundred")
	})
}
