package activities_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestSend_ToABareURLHoldsAPermit(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.send(task(postdate.Destination{URL: "https://receiver.example/"}))
	require.Len(t, f.requests, 1)
	require.Equal(t, []postdate.Outcome{postdate.Accepted}, f.ended)
}

func TestSend_ToABareURLWithoutAPermitIsNoAttemptAndIsRetriedWhenThatHelps(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.refused = &throttle.NoPermitError{RetryAfter: 42 * time.Second, Reason: "3 attempts are under way"}
	for name, in := range map[string]any{
		protocol.SendActivity:  task(postdate.Destination{URL: "https://receiver.example/"}),
		protocol.RetryActivity: protocol.RetryInput{Shipment: task(postdate.Destination{URL: "https://receiver.example/"})},
	} {
		f.log.Reset()
		err := f.run(name, in, nil)
		app, ok := errors.AsType[*temporal.ApplicationError](err)
		require.True(t, ok)
		require.Equal(t, protocol.FailureRefused, app.Type())
		require.Equal(t, 42*time.Second, app.NextRetryDelay())
		require.Equal(t, "3 attempts are under way", app.Message())
		require.Empty(t, f.log.String(), "it is no error, and there may be thousands")
		state, _, log := protocol.DecodeEnd(err, nil)
		require.Equal(t, postdate.Retrying, state)
		require.Empty(t, log)
	}
	require.Empty(t, f.ended)
}

func TestSend_ATestWithoutAPermitSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	f.refused = &throttle.NoPermitError{Reason: "one attempt is made to see whether the receiver is back"}
	test := task(postdate.Destination{Endpoint: "ep_1"})
	test.Test = true
	attempt := f.send(test)
	require.Equal(t, protocol.NoPermit, attempt.Outcome)
	require.Equal(t, f.refused.Error(), attempt.Error)
}

func TestRetry_ARoundBeginsWithItsFirstAttempt(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	// It waited for its permit for an hour, and its last attempt failed just now.
	plan := postdate.RetryPlan{Since: now.Add(-time.Hour), Retry: postdate.Retry{
		MaxDuration: postdate.Duration(time.Minute), Initial: postdate.Duration(time.Second),
	}.WithDefaults()}
	failed := postdate.Attempt{Number: 1, At: now.Add(-time.Second), Outcome: postdate.Failed, Status: 500}
	err := f.run(protocol.RetryActivity, protocol.RetryInput{
		Shipment: task(postdate.Destination{URL: "https://receiver.example/"}), Plan: plan, Attempts: postdate.Attempts{failed},
	}, nil)
	state, reason, _ := protocol.DecodeEnd(err, nil)
	require.Equal(t, postdate.Retrying, state, reason)
}
