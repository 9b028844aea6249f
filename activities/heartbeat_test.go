package activities_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// answerAfterAHeartbeat has attempts take until their activity has heartbeated, and
// returns the details of that heartbeat.
func (f *fakes) answerAfterAHeartbeat(made postdate.Attempt) <-chan converter.EncodedValues {
	beats, beaten := make(chan converter.EncodedValues, 100), make(chan struct{}, 100)
	f.SetOnActivityHeartbeatListener(func(_ *activity.Info, details converter.EncodedValues) {
		beats <- details
		beaten <- struct{}{}
	})
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		<-beaten
		return made, nil
	}
	return beats
}

func failedAttempt(number int) postdate.Attempt {
	return postdate.Attempt{Number: number, At: now, Outcome: postdate.Failed, Status: 503}
}

func TestSend_HeartbeatsWhileItsAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	beats := f.answerAfterAHeartbeat(failedAttempt(0))
	require.Equal(t, 503, f.send(task(postdate.Destination{URL: "https://b.example/hooks"})).Status)
	require.False(t, (<-beats).HasValues())
}

func TestRetry_KeepsItsLogWhileAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	beats := f.answerAfterAHeartbeat(postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 204})
	before := postdate.Attempts{failedAttempt(1), failedAttempt(2)}
	f.SetHeartbeatDetails(before)
	in := protocol.RetryInput{Shipment: task(postdate.Destination{URL: "https://b.example/hooks"}), Attempts: before[:1]}
	var log, beat postdate.Attempts
	require.NoError(t, f.run(protocol.RetryActivity, in, &log))
	require.Len(t, log, 3)
	require.NoError(t, (<-beats).Get(&beat))
	require.Equal(t, before, beat)
}

func TestRetry_HeartbeatsOnWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	f := newFakes(t)
	answerAfter := f.answerAfterAHeartbeat(postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 204})
	f.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	answer := f.answer
	f.answer = func(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
		cancel()
		return answer(ctx, m, to)
	}
	in := protocol.RetryInput{Shipment: task(postdate.Destination{URL: "https://b.example/hooks"})}
	require.NoError(t, f.run(protocol.RetryActivity, in, nil))
	require.NotEmpty(t, answerAfter)
}

func TestRetry_SaysWhenItIsRunAgainAfterAFailureOfOurOwn(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.fault = errOurs
	in := protocol.RetryInput{Shipment: task(postdate.Destination{Endpoint: "ep_1"})}
	err := f.run(protocol.RetryActivity, in, nil)
	var app *temporal.ApplicationError
	require.ErrorAs(t, err, &app)
	require.Equal(t, protocol.FailureInternal, app.Type())
	require.Equal(t, time.Second, app.NextRetryDelay())
	require.ErrorContains(t, err, errOurs.Error())
}
