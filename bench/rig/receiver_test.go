package rig

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is a system that delivers at once, so many copies.
type wire struct{ copies int }

func (w wire) Publish(ctx context.Context, m *Message) error {
	for range w.copies {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		req.Header.Set("Webhook-Id", m.ID)
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		_ = res.Body.Close()
	}
	return nil
}

func startReceiver(t *testing.T) *Receiver {
	t.Helper()
	r, err := StartReceiver(t.Context())
	require.NoError(t, err)
	t.Cleanup(r.Stop)
	return r
}

func TestReceiver_KnowsMessagesByTheirBodies(t *testing.T) {
	t.Parallel()
	r, err := StartReceiverOf(t.Context(), func(body []byte) string { return "named " + string(body) })
	require.NoError(t, err)
	t.Cleanup(r.Stop)
	require.NoError(t, wire{copies: 1}.Publish(t.Context(), &Message{ID: "1", URL: r.URL}))
	require.NoError(t, r.Wait(t.Context(), 1, time.Now()))
	require.NoError(t, r.Note([]*Message{{ID: "named {}"}}))
}

func TestReceiver_CountsEachMessageOnceAndItsCopies(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	messages := NewMessages(20, "test", r.URL, time.Time{})
	require.NoError(t, PublishAll(t.Context(), wire{copies: 2}, 4, messages))
	require.NoError(t, r.Wait(t.Context(), 20, time.Now()))
	require.NoError(t, r.Note(messages))
	for _, m := range messages {
		require.Equal(t, 2, m.Copies)
		require.False(t, m.Received.Before(m.Sent))
	}
	require.ErrorContains(t, r.Note(messages[:19]), "nobody had sent")
}

func TestReceiver_KnowsAnEventByItsEndpoint(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	events := NewMessages(1, "event", r.URL, time.Time{})
	for _, path := range []string{"0", "1"} {
		require.NoError(t, wire{copies: 1}.Publish(t.Context(), &Message{ID: events[0].ID, URL: r.URL + path}))
	}
	require.NoError(t, r.Wait(t.Context(), 2, time.Now()))
	require.NoError(t, r.Note(PerEndpoint(events, 2)))
}

func TestReceiver_FailsWhereAMessageIsLostOrEarly(t *testing.T) {
	t.Parallel()
	r := startReceiver(t)
	messages := NewMessages(2, "test", r.URL, time.Now().Add(time.Hour))
	require.NoError(t, wire{copies: 1}.Publish(t.Context(), messages[0]))
	require.NoError(t, r.Wait(t.Context(), 1, time.Now()))
	require.ErrorContains(t, r.Note(messages), "early: test-0")
	messages[0].Due = time.Time{}
	require.ErrorContains(t, r.Note(messages), "lost: test-1")
}
