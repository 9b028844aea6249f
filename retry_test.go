package postdate_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestDefaultRetry_TakesThreeDays(t *testing.T) {
	t.Parallel()
	var total time.Duration
	retry := postdate.DefaultRetry
	for made := 1; ; made++ {
		wait, more := retry.Wait(made)
		if !more {
			require.Equal(t, 10, made)
			break
		}
		total += wait
	}
	require.Equal(t, 75*time.Hour+35*time.Minute+5*time.Second, total)
}

func TestRetry_GrowsUpToItsBounds(t *testing.T) {
	t.Parallel()
	var retry postdate.Retry
	require.NoError(t, json.Unmarshal([]byte(
		`{"initial":"5s","factor":2,"max_interval":"1m","max_attempts":7,"max_duration":"72h","jitter":0}`), &retry))
	require.NoError(t, retry.Validate())
	retry = retry.WithDefaults()
	var waits []time.Duration
	for made := 1; ; made++ {
		wait, more := retry.Wait(made)
		if !more {
			break
		}
		waits = append(waits, wait/time.Second)
	}
	require.Equal(t, []time.Duration{5, 10, 20, 40, 60, 60}, waits)
}

func TestRetry_GrowsWithoutOverflow(t *testing.T) {
	t.Parallel()
	retry := postdate.Retry{Factor: 100, MaxAttempts: 1000}.WithDefaults()
	wait, more := retry.Wait(999)
	require.True(t, more)
	require.LessOrEqual(t, wait, 66*time.Minute)
	require.GreaterOrEqual(t, wait, time.Hour)
}

func TestRetry_JitterOnlyLengthens(t *testing.T) {
	t.Parallel()
	half := 0.5
	retry := postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Minute)}, Jitter: &half}
	for range 1000 {
		wait, _ := retry.Wait(1)
		require.GreaterOrEqual(t, wait, time.Minute)
		require.LessOrEqual(t, wait, 90*time.Second)
	}
}

func TestRetry_WithDefaultsIsBounded(t *testing.T) {
	t.Parallel()
	require.Equal(t, postdate.DefaultRetry.Schedule, postdate.Retry{}.WithDefaults().Schedule)
	require.Equal(t, postdate.Duration(72*time.Hour), postdate.Retry{Factor: 3}.WithDefaults().MaxDuration)
	require.Zero(t, postdate.Retry{MaxAttempts: 3}.WithDefaults().MaxDuration)
	require.Equal(t, 1, postdate.Retry{Schedule: []postdate.Duration{}}.WithDefaults().Attempts(), "an empty schedule retries nothing")
}

func TestRetry_RefusesWhatBreaksARule(t *testing.T) {
	t.Parallel()
	for body, pointer := range map[string]string{
		`{"schedule":["5s"],"factor":2}`: "/retry/schedule",
		`{"schedule":["-5s"]}`:           "/retry/schedule",
		`{"schedule":["9000h"]}`:         "/retry/schedule",
		`{"initial":"-1s"}`:              "/retry/initial",
		`{"factor":0.5}`:                 "/retry/factor",
		`{"factor":101}`:                 "/retry/factor",
		`{"max_interval":"9000h"}`:       "/retry/max_interval",
		`{"max_attempts":-1}`:            "/retry/max_attempts",
		`{"max_attempts":1001}`:          "/retry/max_attempts",
		`{"max_duration":"9000h"}`:       "/retry/max_duration",
		`{"jitter":1.5}`:                 "/retry/jitter",
	} {
		var retry postdate.Retry
		require.NoError(t, json.Unmarshal([]byte(body), &retry), body)
		var refused *postdate.Error
		require.ErrorAs(t, retry.Validate(), &refused, body)
		require.Equal(t, pointer, refused.Pointer, body)
	}
}

func TestPlan_JudgesEachOutcome(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)
	exact := 0.0
	retry := postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Minute)}, Jitter: &exact}
	plan := postdate.RetryPlan{Retry: retry, Since: now}
	for name, test := range map[string]struct {
		plan    postdate.RetryPlan
		attempt postdate.Attempt
		verdict postdate.Decision
	}{
		"accepted":  {plan, postdate.Attempt{Number: 1, Outcome: postdate.Accepted}, postdate.Decision{State: postdate.Delivered, Reason: "accepted"}},
		"failed":    {plan, postdate.Attempt{Number: 1, Outcome: postdate.Failed}, postdate.Decision{State: postdate.Retrying, Wait: time.Minute}},
		"last":      {plan, postdate.Attempt{Number: 2, Outcome: postdate.Failed}, postdate.Decision{State: postdate.Dead, Reason: "gave up after 2 attempts"}},
		"new round": {postdate.RetryPlan{Retry: retry, Before: 7, Since: now}, postdate.Attempt{Number: 8, Outcome: postdate.Failed}, postdate.Decision{State: postdate.Retrying, Wait: time.Minute}},
		"asked to wait": {
			plan,
			postdate.Attempt{Number: 1, Outcome: postdate.Failed, RetryAfter: postdate.Duration(time.Hour)},
			postdate.Decision{State: postdate.Retrying, Wait: time.Hour},
		},
		"asked to wait less": {
			plan,
			postdate.Attempt{Number: 1, Outcome: postdate.Failed, RetryAfter: postdate.Duration(time.Second)},
			postdate.Decision{State: postdate.Retrying, Wait: time.Minute},
		},
		"too long a wait": {
			postdate.RetryPlan{Retry: postdate.Retry{Initial: postdate.Duration(time.Minute), MaxDuration: postdate.Duration(90 * time.Second), Jitter: &exact}.WithDefaults(), Since: now.Add(-time.Minute)},
			postdate.Attempt{Number: 2, Outcome: postdate.Failed},
			postdate.Decision{State: postdate.Dead, Reason: "gave up after 2 attempts in 1m0s (waiting another 2m0s would exceed max_duration, 1m30s)"},
		},
		"asked to wait too long": {
			postdate.RetryPlan{Retry: postdate.Retry{Initial: postdate.Duration(time.Minute), MaxDuration: postdate.Duration(time.Hour), Jitter: &exact}.WithDefaults(), Since: now},
			postdate.Attempt{Number: 1, Outcome: postdate.Failed, RetryAfter: postdate.Duration(2 * time.Hour)},
			postdate.Decision{State: postdate.Dead, Reason: "gave up after 1 attempt in 0s (waiting another 2h0m0s would exceed max_duration, 1h0m0s)"},
		},
		"expires first": {
			postdate.RetryPlan{Retry: retry, Since: now, ExpiresAt: now.Add(time.Minute)},
			postdate.Attempt{Number: 1, Outcome: postdate.Failed},
			postdate.Decision{State: postdate.Expired, Reason: "expires at 2026-11-21T09:01:00Z, before another attempt"},
		},
	} {
		require.Equal(t, test.verdict, test.plan.Decide(test.attempt, now), name)
	}
}
