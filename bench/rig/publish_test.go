package rig

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// refusing is a system that accepts nothing.
type refusing struct{}

var errRefused = errors.New("refused")

func (refusing) Publish(context.Context, *Message) error { return errRefused }

func TestInParallel_StopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	messages := NewMessages(1000, "test", "", time.Time{})
	calls := 0
	err := InParallel(t.Context(), 1, messages, func(context.Context, *Message) error {
		calls++
		return errRefused
	})
	require.ErrorIs(t, err, errRefused)
	require.ErrorContains(t, err, "test-0")
	require.Equal(t, 1, calls)
}

func TestPublishAtPace_CountsFromWhenEachWasToBeSent(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	start := time.Now()
	messages := NewMessages(3, "test", r.URL, time.Time{})
	require.NoError(t, PublishAtPace(t.Context(), wire{copies: 1}, start, 20*time.Millisecond, messages))
	require.Equal(t, start.Add(40*time.Millisecond), messages[2].Sent)
	require.False(t, messages[2].Accepted.Before(messages[2].Sent))

	messages = NewMessages(1000, "test", r.URL, time.Time{})
	err := PublishAtPace(t.Context(), refusing{}, time.Now(), time.Hour, messages)
	require.ErrorContains(t, err, "test-0: refused", "the others are not waited for")
}
