package main

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is an engine that delivers at once, so many copies.
type wire struct{ copies int }

func (w wire) publish(ctx context.Context, m *item) error {
	for range w.copies {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		req.Header.Set("Webhook-Id", m.id)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
	}
	return nil
}

func TestReceiver_CountsEachMessageOnceAndItsCopies(t *testing.T) {
	t.Parallel()
	r, err := startReceiver(t.Context())
	require.NoError(t, err)
	defer r.stop()
	items := newItems(20, "test", r.url, time.Time{})
	require.NoError(t, publishAll(t.Context(), wire{copies: 2}, 4, items))
	require.NoError(t, r.wait(t.Context(), 20, time.Now()))
	require.NoError(t, r.note(items))
	for _, i := range items {
		require.Equal(t, 2, i.copies)
		require.False(t, i.received.Before(i.sent))
	}
	require.ErrorContains(t, r.note(items[:19]), "nobody had sent")
}

func TestReceiver_TellsOfWhatIsLostOrEarly(t *testing.T) {
	t.Parallel()
	r, err := startReceiver(t.Context())
	require.NoError(t, err)
	defer r.stop()
	items := newItems(2, "test", r.url, time.Now().Add(time.Hour))
	require.NoError(t, wire{copies: 1}.publish(t.Context(), items[0]))
	require.NoError(t, r.wait(t.Context(), 1, time.Now()))
	require.ErrorContains(t, r.note(items), "early: test-0")
	items[0].due = time.Time{}
	require.ErrorContains(t, r.note(items), "lost: test-1")
}

func TestPublishAll_StopsAtTheFirstFailure(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	items := newItems(1000, "test", "", time.Time{})
	tried := 0
	err := inParallel(t.Context(), 1, items, func(context.Context, *item) error {
		tried++
		return refused
	})
	require.ErrorIs(t, err, refused)
	require.ErrorContains(t, err, "test-0")
	require.Equal(t, 1, tried)
}
