package throttle_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

var (
	dawn    = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	limit   = postdate.Pace{InFlight: 100, PerSecond: 50, Burst: 5}
	slowed  = throttle.Feedback{Failed: 1, Slowed: 1, Trailing: 1, Answered: 1, LatencyMS: 10}
	success = throttle.Feedback{Succeeded: 10, Answered: 10, LatencyMS: 100}
	broken  = throttle.Feedback{Failed: 1, Trailing: 1, Answered: 1, LatencyMS: 10}
)

// after is the moment so many seconds after dawn.
func after(seconds float64) time.Time {
	return dawn.Add(time.Duration(seconds * float64(time.Second)))
}

// taking is the feedback of a receiver whose attempts take that many milliseconds.
func taking(ms int64) throttle.Feedback {
	return throttle.Feedback{Succeeded: 10, Answered: 10, LatencyMS: 10 * ms}
}

func TestThrottle_ReducesNothingAtFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t, limit, throttle.Throttle{}.Pace(limit, dawn))
	require.False(t, throttle.Throttle{}.Active(dawn))
}

func TestThrottle_HalvesThePaceOfAReceiverThatAsksForLessAtMostOnceASecond(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}.Observe(slowed, dawn)
	require.Equal(t, 50, f.Pace(limit, dawn).InFlight)
	require.InDelta(t, 25, f.Pace(limit, dawn).PerSecond, 1e-6)
	f = f.Observe(slowed, after(0.5))
	require.Equal(t, 50, f.Pace(limit, after(0.5)).InFlight)
	f = f.Observe(slowed, after(1))
	require.Equal(t, 25, f.Pace(limit, after(1)).InFlight)
	require.Equal(t, 1, f.Pace(postdate.Pace{InFlight: 1}, after(1)).InFlight, "never less than one")
}

func TestThrottle_GivesBackATenthOfTheLimitEachSecondOfSuccess(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}.Observe(slowed, dawn)
	for i, inFlight := range []int{60, 70, 80, 90, 100, 100} {
		now := after(float64(i + 1))
		f = f.Observe(success, now)
		require.Equal(t, inFlight, f.Pace(limit, now).InFlight)
	}
	require.False(t, f.Active(after(6)))

	f = throttle.Throttle{}.Observe(slowed, dawn)
	f = f.Observe(slowed, after(1))
	f = f.Observe(success, after(100))
	require.Equal(t, 75, f.Pace(limit, after(100)).InFlight, "of a long silence five seconds count")
}

func TestThrottle_SlowsDownWhenAttemptsTakeLonger(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}
	for i := range 30 {
		f = f.Observe(taking(200), after(float64(i)))
	}
	require.Equal(t, 100, f.Pace(limit, after(30)).InFlight)
	least := 100
	for i := range 300 {
		now := after(float64(30 + i))
		f = f.Observe(taking(1500), now)
		least = min(least, f.Pace(limit, now).InFlight)
	}
	require.Equal(t, 25, least, "never less than a quarter")
	require.Equal(t, 100, f.Pace(limit, after(330)).InFlight, "a lasting latency becomes the usual one")
}

func TestThrottle_DoesNotSlowDownAReceiverThatAlwaysTakesLong(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}
	for i := range 600 {
		now := after(float64(i))
		f = f.Observe(taking(1500+int64(i*37%200)), now)
		require.Zero(t, f.Reduction)
	}
	require.Zero(t, throttle.Throttle{}.Observe(taking(10), dawn).Observe(taking(60), after(1)).Reduction, "50 ms more is within the noise")
}

func TestThrottle_ARetryAfterBlocksUntilThen(t *testing.T) {
	t.Parallel()
	asked := slowed
	asked.NotBefore = after(60)
	f := throttle.Throttle{}.Observe(asked, dawn)
	require.Zero(t, f.Pace(limit, after(59)).InFlight)
	require.Equal(t, after(60), f.BlockedUntil(after(59)))
	require.Equal(t, 50, f.Pace(limit, after(60)).InFlight)
	state, _ := f.BreakerState(after(1))
	require.Equal(t, postdate.BreakerClosed, state, "a Retry-After is not a failure of the endpoint")
}

func TestBreaker_OpensOnConsecutiveFailures(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}
	for range 4 {
		f = f.Observe(broken, dawn)
	}
	state, _ := f.BreakerState(dawn)
	require.Equal(t, postdate.BreakerClosed, state)
	f = f.Observe(broken, after(1))
	state, until := f.BreakerState(after(1))
	require.Equal(t, postdate.BreakerOpen, state)
	require.Equal(t, after(4), until)
	require.Zero(t, f.Pace(limit, after(3.9)).InFlight)
	state, _ = f.BreakerState(after(4))
	require.Equal(t, postdate.BreakerHalfOpen, state)
	require.Equal(t, 1, f.Pace(limit, after(4)).InFlight)
}

func TestBreaker_OpensWhereHalfOfTheAttemptsFail(t *testing.T) {
	t.Parallel()
	mixed := throttle.Feedback{Succeeded: 1, Failed: 1, Answered: 2, LatencyMS: 20}
	f := throttle.Throttle{}
	for i := range 9 {
		f = f.Observe(mixed, after(float64(i)))
	}
	state, _ := f.BreakerState(after(9))
	require.Equal(t, postdate.BreakerClosed, state, "too few attempts")
	state, _ = f.Observe(mixed, after(9)).BreakerState(after(9))
	require.Equal(t, postdate.BreakerOpen, state)
	state, _ = f.Observe(mixed, after(60)).BreakerState(after(60))
	require.Equal(t, postdate.BreakerClosed, state, "attempts of long ago do not count")
}

func TestBreaker_IsOpenTwiceAsLongEachTimeUpToFiveMinutes(t *testing.T) {
	t.Parallel()
	f, now := throttle.Throttle{}, dawn
	for range 5 {
		f = f.Observe(broken, now)
	}
	for _, seconds := range []float64{3, 6, 12, 24, 48, 96, 192, 300, 300} {
		_, until := f.BreakerState(now)
		require.Equal(t, time.Duration(seconds*float64(time.Second)), until.Sub(now))
		now = until
		f = f.Observe(broken, now)
	}
}

func TestBreaker_ClosesWithASlowStart(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}
	for range 5 {
		f = f.Observe(broken, dawn)
	}
	f = f.Observe(throttle.Feedback{Succeeded: 1, Answered: 1}, after(2))
	state, _ := f.BreakerState(after(2))
	require.Equal(t, postdate.BreakerOpen, state, "attempts that began before it opened say nothing")
	f = f.Observe(throttle.Feedback{Answered: 1}, after(3)) // refused by a receiver that answers
	state, _ = f.BreakerState(after(3))
	require.Equal(t, postdate.BreakerClosed, state)
	require.Equal(t, 1, f.Pace(limit, after(3)).InFlight)
	require.Equal(t, 11, f.Observe(success, after(4)).Pace(limit, after(4)).InFlight)

	for range 5 {
		f = f.Observe(broken, after(5))
	}
	_, until := f.BreakerState(after(5))
	require.Equal(t, after(11), until, "it was not closed for a minute")
}

func TestThrottle_IsSmallAsJSON(t *testing.T) {
	t.Parallel()
	f := throttle.Throttle{}
	for i := range 100 {
		f = f.Observe(slowed, after(float64(i))).Observe(taking(123), after(float64(i)))
	}
	text, err := json.Marshal(f)
	require.NoError(t, err)
	require.Less(t, len(text), 500)
	var read throttle.Throttle
	require.NoError(t, json.Unmarshal(text, &read))
	require.Equal(t, f, read)
}

// The receiver answers 503 for half a minute, and the sender makes as many attempts as
// the throttle lets through.
func TestThrottle_LeavesADownReceiverAloneAndDoesNotFloodItAfterwards(t *testing.T) {
	t.Parallel()
	type attempt struct{ began, ends float64 }
	const takes = 0.2
	limit := postdate.Pace{InFlight: 10}
	away := func(at float64) bool { return at >= 10 && at < 40 }
	f, flying := throttle.Throttle{}, []attempt(nil)
	during, perSecond, firstAt := 0, map[int]int{}, 0.0
	for now := 0.0; now < 90; now += 0.05 {
		var feedback throttle.Feedback
		var still []attempt
		for _, a := range flying {
			switch {
			case a.ends > now:
				still = append(still, a)
			case away(a.began):
				feedback.Failed, feedback.Slowed, feedback.Trailing, feedback.Answered = feedback.Failed+1, feedback.Slowed+1, feedback.Trailing+1, feedback.Answered+1
			default:
				feedback.Succeeded, feedback.Answered, feedback.Trailing = feedback.Succeeded+1, feedback.Answered+1, 0
			}
		}
		feedback.LatencyMS = int64(float64(feedback.Answered) * takes * 1000)
		flying = still
		f = f.Observe(feedback, after(now))
		for len(flying) < f.Pace(limit, after(now)).InFlight {
			flying = append(flying, attempt{now, now + takes})
			if away(now) {
				during++
			} else if now >= 40 {
				if firstAt == 0 {
					firstAt = now
				}
				perSecond[int(now-firstAt)]++
			}
		}
	}
	require.Less(t, during, 20)
	require.LessOrEqual(t, perSecond[0], 12, "it begins with one at a time")
	require.GreaterOrEqual(t, perSecond[15], 38, "it is back at its full pace soon")
	for second := range 10 {
		require.LessOrEqual(t, perSecond[second], perSecond[second+1]+2, "it grows step by step")
	}
}
