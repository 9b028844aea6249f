package rig

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestSlowReceiver_NotesHowManyItHoldsAndWhatItAccepted(t *testing.T) {
	t.Parallel()
	r, err := StartSlowReceiver(t.Context(), 300*time.Millisecond)
	require.NoError(t, err)
	defer r.Stop()
	messages := NewMessages(12, "slow", r.URL, time.Time{})
	require.NoError(t, PublishAll(t.Context(), wire{copies: 1}, 4, messages))
	require.NoError(t, r.Wait(t.Context(), 12))
	require.NoError(t, r.Note(messages))
	for _, m := range messages {
		require.Equal(t, 1, m.Copies)
	}
	require.Equal(t, 4, r.Calls().MostInFlight())

	r.Become(0, http.StatusServiceUnavailable)
	require.NoError(t, wire{copies: 1}.Publish(t.Context(), &Message{ID: "refused", URL: r.URL}))
	require.Equal(t, 12, r.Count(), "what it answers 503 to was not accepted")
	require.ErrorContains(t, r.Note(append(messages, &Message{ID: "refused"})), "lost: refused")
}

func TestSlowReceiver_ACallEndsWhenTheCallerCloses(t *testing.T) {
	t.Parallel()
	r, err := StartSlowReceiver(t.Context(), time.Minute)
	require.NoError(t, err)
	defer r.Stop()
	arrived := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		close(arrived)
		r.ServeHTTP(w, req)
	}))
	t.Cleanup(server.Close)
	ctx, hangUp := context.WithCancel(t.Context())
	gone := make(chan error, 1)
	go func() { gone <- wire{copies: 1}.Publish(ctx, &Message{ID: "cut", URL: server.URL}) }()
	<-arrived
	hangUp()
	require.Error(t, <-gone)
	<-r.news
	require.Len(t, r.Calls(), 1)
	require.Zero(t, r.Count())
}
