package pacer

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
)

var hung = postdate.Attempt{Outcome: postdate.Failed, DurationMS: 5_000}

var slow = postdate.Attempt{Outcome: postdate.Accepted, Status: 204, DurationMS: 60_000}

// bare is a bare url: an endpoint without settings.
func bare(url string) postdate.Endpoint { return postdate.Endpoint{URL: url} }

// onURL runs a test with a bare url.
func onURL(t *testing.T, c Config, test func(t *testing.T, f *fixture)) {
	t.Helper()
	at(t, postdate.Endpoint{}, c, func(t *testing.T, f *fixture) {
		t.Helper()
		f.e = bare("https://Receiver.example/hooks/1")
		test(t, f)
	})
}

func TestLocal_TheHostOfABareURLIsBoundedByTenant(t *testing.T) {
	t.Parallel()
	onURL(t, Config{MaxInFlight: 3}, func(t *testing.T, f *fixture) {
		t.Helper()
		permits := []throttle.Permit{f.take(), f.take()}
		f.e = bare("https://receiver.example/another")
		f.take()
		fourth := f.wait(throttle.PermitRequest{Since: time.Now()})
		require.False(t, fourth.answered(), "it is the same host")
		f.e = bare("https://other.example/")
		f.take().Release(accepted)
		f.e = bare("https://receiver.example/")
		other, err := f.p.Acquire(t.Context(), "other", f.e, throttle.PermitRequest{})
		require.NoError(t, err, "of another tenant")
		other.Release(accepted)
		permits[0].Release(accepted)
		<-fourth.done
		require.NotNil(t, fourth.permit)
		require.Empty(t, f.all(), "no lease is requested")
	})
}

func TestLocal_ARefusalSaysWhenToAskAgain(t *testing.T) {
	t.Parallel()
	onURL(t, Config{MaxInFlight: 2}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.take().Release(slow)
		f.take()
		f.take()
		var last time.Duration
		for range 4 {
			_, err := f.p.Acquire(t.Context(), "acme", f.e, throttle.PermitRequest{MaxWait: time.Millisecond})
			var refused *throttle.NoPermitError
			require.True(t, errors.As(err, &refused))
			require.ErrorIs(t, err, throttle.ErrNoPermit)
			require.Greater(t, refused.RetryAfter, last+20*time.Second, "an attempt of two takes a minute")
			require.Contains(t, refused.Reason, "2 attempts are under way")
			last = refused.RetryAfter
		}
	})
}

func TestLocal_ABreakerOpensAndLetsOneProbeThrough(t *testing.T) {
	t.Parallel()
	onURL(t, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		for range 4 {
			f.take().Release(hung)
		}
		f.take().Release(hung)
		_, err := f.p.Acquire(t.Context(), "acme", f.e, throttle.PermitRequest{})
		var blocked *throttle.NoPermitError
		require.True(t, errors.As(err, &blocked))
		require.Contains(t, blocked.Reason, "too many attempts at this receiver got no answer")
		assert.GreaterOrEqual(t, blocked.RetryAfter, 3*time.Second)
		require.Zero(t, f.after(), "at once")

		waiting := f.wait(throttle.PermitRequest{MaxWait: 4 * time.Second})
		second := f.wait(throttle.PermitRequest{MaxWait: 4 * time.Second})
		pass(3*time.Second - time.Millisecond)
		require.False(t, waiting.answered() || second.answered())
		pass(time.Millisecond)
		require.True(t, waiting.answered() != second.answered(), "one probe")
		if second.answered() {
			waiting, second = second, waiting
		}
		waiting.permit.Release(accepted)
		synctest.Wait()
		require.True(t, second.answered(), "it is closed")
		second.permit.Release(accepted)
	})
}

func TestLocal_ABreakerIsNotOpenForLong(t *testing.T) {
	t.Parallel()
	onURL(t, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		for range 5 {
			f.take().Release(hung)
		}
		probes := 0
		for f.after() < 10*time.Minute {
			permit, _ := f.try(throttle.PermitRequest{MaxWait: time.Minute})
			require.NotNil(t, permit)
			permit.Release(hung)
			probes++
		}
		require.InDelta(t, 22, probes, 3, "every 30 s at last")
	})
}

// A host serves many urls, and answers quickly where some of them refuse.
func TestLocal_ABreakerStaysClosedForAnswers(t *testing.T) {
	t.Parallel()
	onURL(t, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		for range 100 {
			f.take().Release(broken)
		}
		f.take().Release(accepted)
		require.Zero(t, f.after())
	})
}

func TestLocal_ARetryAfterIsNotForAllOfAHost(t *testing.T) {
	t.Parallel()
	onURL(t, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.take().Release(postdate.Attempt{Outcome: postdate.Failed, Status: 429, RetryAfter: postdate.Duration(time.Hour)})
		f.take().Release(accepted)
	})
}

func TestLocal_TestsOfAPausedEndpointKeepToItsRate(t *testing.T) {
	t.Parallel()
	at(t, postdate.Endpoint{RateLimit: &postdate.RateLimit{PerSecond: 1, Burst: 2}}, Config{}, func(t *testing.T, f *fixture) {
		t.Helper()
		f.e.State = postdate.Paused
		f.take().Release(accepted)
		f.take().Release(accepted)
		permit, waited := f.try(dequeued(5 * time.Second))
		require.NotNil(t, permit)
		require.InDelta(t, time.Second, waited, float64(time.Millisecond))
		permit.Release(unmade)
		f.take().Release(accepted)
		require.Empty(t, f.all(), "its execution would grant no lease")
	})
}

func TestLocal_NobodyWaitsInPlaceForAReceiverThatHangs(t *testing.T) {
	t.Parallel()
	onURL(t, Config{MaxInFlight: 2}, func(t *testing.T, f *fixture) {
		t.Helper()
		permit := f.take()
		f.take()
		require.False(t, f.wait(throttle.PermitRequest{}).answered())
		pass(time.Second)
		began := f.after()
		for range 100 {
			refused, _ := f.try(throttle.PermitRequest{})
			require.Nil(t, refused)
		}
		require.Equal(t, began, f.after())
		permit.Release(accepted)
		f.take()
		require.False(t, f.wait(throttle.PermitRequest{}).answered(), "an attempt has ended just now")
	})
}

func TestLocal_ATenantWaitsInPlaceForNoMoreThanATenthOfTheSlots(t *testing.T) {
	t.Parallel()
	onURL(t, Config{MaxInFlight: 1, Slots: 200}, func(t *testing.T, f *fixture) {
		t.Helper()
		waiting := 0
		for _, host := range []string{"a", "b", "c", "d"} {
			f.e = bare("https://" + host + ".example/")
			f.take()
			for range 10 {
				if !f.wait(throttle.PermitRequest{}).answered() {
					waiting++
				}
			}
		}
		require.Equal(t, 20, waiting)
		pass(time.Second)
		require.Zero(t, f.p.slots.tenants["acme"].inPlace)
	})
}
