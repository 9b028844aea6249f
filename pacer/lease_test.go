package pacer

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// tenAtOnce is an endpoint that is always sent to by lease.
var tenAtOnce = postdate.Endpoint{MaxInFlight: 10}

func TestLease_NoMoreAreInFlightThanItSays(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.takes = 5 * time.Millisecond
		b.gives(always(lend(postdate.Pace{InFlight: 3})))
		var six []*waiting
		for range 6 {
			six = append(six, b.wait(patient(time.Minute)))
		}
		begun := func() (turns []activities.Turn) {
			for _, w := range six {
				if w.answered() {
					turns = append(turns, w.turn)
				}
			}
			return turns
		}
		require.Empty(t, begun(), "none before the lease is there")
		pass(10 * time.Millisecond)
		require.Len(t, begun(), 3)

		pass(2 * time.Second)
		require.Len(t, begun(), 3)
		assert.Equal(t, 3, b.last().InFlight)
		assert.Equal(t, 3, b.last().Asking)
		assert.Equal(t, 3, b.last().Held.InFlight)

		b.gives(always(lend(postdate.Pace{InFlight: 5})))
		pass(1010 * time.Millisecond) // it asks each second while it wants more
		require.Len(t, begun(), 5)

		b.gives(always(lend(postdate.Pace{InFlight: 2})))
		pass(1010 * time.Millisecond)
		turns := begun()
		for _, turn := range turns[:3] {
			turn.Done(accepted)
			synctest.Wait()
			require.Len(t, begun(), 5, "two or more are in flight still")
		}
		turns[3].Done(accepted)
		synctest.Wait()
		require.Len(t, begun(), 6)
	})
}

func TestLease_IsRenewedWhileItIsNeeded(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		turn := b.first()
		pass(20 * time.Second)
		var times []time.Duration
		for _, ask := range b.all() {
			times = append(times, ask.At)
		}
		require.Equal(t, []time.Duration{
			0, 3 * time.Second, 6 * time.Second, 9 * time.Second, 12 * time.Second, 15 * time.Second, 18 * time.Second,
		}, times)
		turn.Done(accepted)
	})
}

func TestLease_WhoWasNotCalledGoesInLineWhileOthersWaitThere(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		lease := lend(postdate.Pace{InFlight: 10})
		lease.Waiting = 5
		b.takes = 5 * time.Millisecond
		b.gives(always(lease))
		fresh := b.wait(activities.Claim{Since: time.Now().Add(-time.Hour)})
		called := b.wait(patient(time.Second))
		pass(10 * time.Millisecond)
		require.True(t, fresh.answered(), "once it is known that others wait")
		require.Nil(t, fresh.turn)
		require.True(t, called.answered())
		require.NotNil(t, called.turn)

		turn, waited := b.try(activities.Claim{Since: time.Now()})
		require.Nil(t, turn)
		require.Zero(t, waited)
		b.take().Done(accepted)

		lease.Waiting = 0
		b.gives(always(lease))
		pass(5 * time.Second)
		turn, waited = b.try(activities.Claim{Since: time.Now()})
		require.NotNil(t, turn, "nobody waits any more")
		require.Zero(t, waited)
	})
}

func TestLease_TheOldestIsServedFirst(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 1})))
		turn := b.first()
		ages := []time.Duration{3, 9, 1, 7, 5, 8, 2, 6, 4}
		waiting := make(map[time.Duration]*waiting)
		for _, age := range ages {
			waiting[age] = b.wait(activities.Claim{Called: true, Since: b.start.Add(-age), Patience: time.Minute})
		}
		for age := time.Duration(9); age > 0; age-- {
			for younger := range age {
				if younger > 0 {
					require.False(t, waiting[younger].answered())
				}
			}
			turn.Done(accepted)
			<-waiting[age].done
			turn = waiting[age].turn
			require.NotNil(t, turn)
		}
		turn.Done(accepted)
	})
}

func TestLease_ARateIsKept(t *testing.T) {
	t.Parallel()
	for _, limit := range []postdate.RateLimit{{PerSecond: 50}, {PerSecond: 50, Burst: 1}, {PerSecond: 3, Burst: 10}, {PerMinute: 30}} {
		t.Run(fmt.Sprintf("%+v", limit), func(t *testing.T) {
			t.Parallel()
			at(t, postdate.Endpoint{RateLimit: &limit}, Config{}, func(t *testing.T, b *booth) {
				t.Helper()
				pace := b.e.Pace(100)
				first := true
				b.gives(func(a asked) (workflows.Lease, error) {
					lease := lend(pace)
					if first { // the burst was saved up
						lease.Tokens = float64(pace.Burst)
					}
					first = false
					return lease, nil
				})
				b.takes = 7 * time.Millisecond
				const length, window = 2 * time.Minute, 10 * time.Second
				var begun []time.Duration
				done := make(chan struct{})
				turns := make(chan activities.Turn)
				for range 8 {
					go func() {
						for b.after() < length {
							turn, err := b.p.Take(t.Context(), "acme", b.e, patient(time.Minute))
							if err != nil || turn == nil {
								break
							}
							turns <- turn
							time.Sleep(31 * time.Millisecond)
							turn.Done(accepted)
						}
						done <- struct{}{}
					}()
				}
				for running := 8; running > 0; {
					select {
					case <-turns:
						begun = append(begun, b.after())
					case <-done:
						running--
					}
				}
				in := pace.PerSecond * window.Seconds()
				for from := time.Duration(0); from+window < length; from += 10 * time.Millisecond {
					n := 0
					for _, at := range begun {
						if at >= from && at < from+window {
							n++
						}
					}
					// One more or less: where a window begins is by chance.
					require.LessOrEqual(t, float64(n), in+float64(pace.Burst)+1e-6, "from %s", from)
					require.GreaterOrEqual(t, float64(n), 0.98*in-1, "from %s", from)
				}
			})
		})
	}
}

func TestLease_OneThatHasEndedIsWorthNothing(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.takes = 2 * time.Second // it counts from before it was asked for
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		w := b.wait(patient(time.Minute))
		<-w.done
		require.Equal(t, 2*time.Second, b.after())
		b.gives(never)
		pass(10*time.Second - time.Millisecond - b.after())
		b.take()
		pass(time.Millisecond)
		w = b.wait(patient(3 * time.Second))
		<-w.done
		require.Nil(t, w.turn)
		require.ErrorIs(t, w.err, errAway, "nothing could be found out")
		require.Equal(t, 3*time.Second, w.took)

		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		w = b.wait(patient(time.Minute))
		<-w.done
		require.NotNil(t, w.turn)
	})
}

func TestLease_ThreeFailuresHoldUntilTheyAreTold(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
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
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
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

func TestLease_IsGivenBackWhenItIsIdle(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerSecond: 10, Burst: 5}}, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		lease := lend(b.e.Pace(100))
		lease.Tokens = 5
		b.gives(always(lease))
		turn := b.first()
		pass(time.Second)
		turn.Done(accepted)
		require.Len(t, b.all(), 1)
		pass(time.Second)
		require.Len(t, b.all(), 2)
		back := b.last()
		assert.Zero(t, back.InFlight+back.Asking)
		assert.Equal(t, 1, back.Seen.Succeeded)
		assert.InDelta(t, 5, back.Saved, 1e-6, "with what it saved up")
		assert.Less(t, back.At, 1500*time.Millisecond)
		pass(time.Hour)
		require.Len(t, b.all(), 2)
		b.first()
	})
}

func TestLease_ATurnThatWasNotUsedIsGivenBack(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerMinute: 1}}, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		lease := lend(b.e.Pace(100))
		lease.Tokens = 1
		b.gives(func(a asked) (workflows.Lease, error) {
			given := lease
			lease.Tokens = 0
			return given, nil
		})
		b.first().Done(unmade)
		b.take().Done(postdate.Attempt{Outcome: postdate.Held})
		turn := b.take()
		w := b.wait(patient(2 * time.Minute))
		require.False(t, w.answered())
		turn.Done(accepted)
		<-w.done
		require.NotNil(t, w.turn)
		require.InDelta(t, time.Minute, b.after(), float64(time.Millisecond))
		require.NotContains(t, fmt.Sprint(b.all()), "Failed:1")
	})
}

func TestLease_NewLimitsAreAskedForAtOnce(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(func(a asked) (workflows.Lease, error) { return always(lend(a.Settings.Pace))(a) })
		turn := b.first()
		pass(time.Second)
		b.e.MaxInFlight = 20
		b.p.config.Directory.(*tenants).one.Endpoints[0] = b.e
		b.take().Done(accepted)
		synctest.Wait()
		require.Len(t, b.all(), 2)
		require.Equal(t, 20, b.last().Settings.Pace.InFlight)
		turn.Done(accepted)
	})
}

func TestClose_GivesLeasesBackAndEndsAllWaiting(t *testing.T) {
	t.Parallel()
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 1})))
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
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 1})))
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
	at(t, tenAtOnce, Config{}, func(t *testing.T, b *booth) {
		t.Helper()
		b.gives(always(lend(postdate.Pace{InFlight: 10})))
		b.first().Done(accepted)
		b.takes = time.Hour
		began := time.Now()
		b.p.Close()
		require.LessOrEqual(t, time.Since(began), closeTimeout)
	})
}
