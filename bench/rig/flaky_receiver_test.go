package rig

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlakyReceiver_CountsWhatWasCalledForMoreOftenThanNeeded(t *testing.T) {
	t.Parallel()
	receiver, err := StartFlakyReceiver(t.Context(), 0, 1)
	require.NoError(t, err)
	defer receiver.Stop()
	call := func(id string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, receiver.URL, http.NoBody)
		require.NoError(t, err)
		req.Header.Set("Webhook-Id", id)
		res, err := http.DefaultClient.Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		return res.StatusCode
	}
	messages := NewMessages(2, "m", receiver.URL, time.Time{})
	for _, m := range messages {
		require.Equal(t, http.StatusConflict, call(m.ID))
		require.Equal(t, http.StatusNoContent, call(m.ID))
	}
	require.NoError(t, receiver.Wait(t.Context(), len(messages), time.Second))
	require.Zero(t, receiver.Repeated(messages))

	require.Equal(t, http.StatusNoContent, call(messages[0].ID))
	require.Equal(t, 1, receiver.Repeated(messages))
	require.NoError(t, receiver.Note(messages))
	require.Equal(t, 2, messages[0].Copies)
}

func TestFlakyReceiver_DoesNotAnswerACallerThatGoesAway(t *testing.T) {
	t.Parallel()
	receiver, err := StartFlakyReceiver(t.Context(), time.Minute, 0)
	require.NoError(t, err)
	defer receiver.Stop()
	ctx, goAway := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer goAway()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, receiver.URL, http.NoBody)
	require.NoError(t, err)
	res, err := http.DefaultClient.Do(req)
	if err == nil {
		require.NoError(t, res.Body.Close())
	}
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Zero(t, receiver.Count())
}
