package sendertest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// awkward are data that whoever decodes and encodes them again changes.
var awkward = map[string]string{
	"an object":            `{"payment_request":"pr_123"}`,
	"a number":             `42`,
	"null":                 `null`,
	"a string":             `"text"`,
	"markup":               `{"html":"<b>&amp;</b>","escaped":"\u003cb\u003e"}`,
	"a number too big":     `[123456789012345678901234567890,1.10,1e400,-0]`,
	"a key twice":          `{"a":1,"a":2,"A":3}`,
	"keys out of order":    `{"z":1,"a":{"y":1,"b":2}}`,
	"characters of others": `{"name":"Zoë 🦊 \ud83d\ude00 \u2028"}`,
	"white space within":   "{ \"a\" :\t[ 1 ,\n2 ] }",
}

func message(id, data string) postdate.Message {
	return postdate.Message{
		ID:        id,
		Tenant:    postdate.DefaultTenant,
		Entity:    "customer_42",
		Type:      "payment_request.due",
		Timestamp: time.Date(2027, 1, 1, 9, 0, 0, 0, time.UTC),
		Data:      json.RawMessage(data),
	}
}

func deliversUnchanged(t *testing.T, h Harness) {
	t.Helper()
	for name, data := range awkward {
		sent := message("pr_123-expiry:1", data)
		a, err := h.Sender.Send(bounded(t), sent, h.Up)
		require.NoError(t, err, name)
		require.Equal(t, postdate.Accepted, a.Outcome, "%s: %s", name, a.Error)
		got := h.next(t)
		require.Equal(t, sent.ID, got.ID, name)
		require.Equal(t, sent.Type, got.Type, name)
		require.Equal(t, data, string(got.Data), name)
	}
}

func keepsTheID(t *testing.T, h Harness) {
	t.Helper()
	m := message("evt_1", `{}`)
	for range 3 {
		_, err := h.Sender.Send(bounded(t), m, h.Up)
		require.NoError(t, err)
		require.Equal(t, "evt_1", h.next(t).ID)
	}
}

func stampsAttempts(t *testing.T, h Harness) {
	t.Helper()
	before := time.Now().Truncate(time.Second)
	a, err := h.Sender.Send(bounded(t), message("evt_1", `{}`), h.Up)
	require.NoError(t, err)
	require.False(t, a.At.Before(before), "made at %s, before %s", a.At, before)
	require.False(t, a.At.After(time.Now()))
	require.Equal(t, time.UTC, a.At.Location())
	require.GreaterOrEqual(t, a.DurationMS, int64(0))
	require.Less(t, a.DurationMS, patience.Milliseconds())
	require.Zero(t, a.Number, "the log gives numbers")
}

func reportsDown(t *testing.T, h Harness) {
	t.Helper()
	a, err := h.Sender.Send(bounded(t), message("evt_1", `{}`), h.Down)
	require.NoError(t, err, "that a receiver is down is no fault of ours")
	requireFailure(t, a, h.Down)
}

func stopsAtTheDeadline(t *testing.T, h Harness) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	a, err := h.Sender.Send(ctx, message("evt_1", `{}`), h.Stuck)
	require.NoError(t, err, "that a receiver is slow is no fault of ours")
	requireFailure(t, a, h.Stuck)
	require.GreaterOrEqual(t, a.DurationMS, int64(50))
	require.Less(t, a.DurationMS, patience.Milliseconds())
}

func reportsCancellation(t *testing.T, h Harness) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := h.Sender.Send(ctx, message("evt_1", `{}`), h.Up)
	require.ErrorIs(t, err, context.Canceled)
	_, err = h.Sender.Send(bounded(t), message("evt_2", `{}`), h.Up)
	require.NoError(t, err)
	require.Equal(t, "evt_2", h.next(t).ID, "the cancelled message must not have been sent")
}

func sendsSideBySide(t *testing.T, h Harness) {
	t.Helper()
	ctx := bounded(t)
	results := make(chan error, Backlog)
	want := make(map[string]string, Backlog)
	for i := range Backlog {
		m := message(fmt.Sprintf("evt_%d", i), fmt.Sprintf(`{"n":%d}`, i))
		want[m.ID] = string(m.Data)
		go func() {
			a, err := h.Sender.Send(ctx, m, h.Up)
			if err == nil && a.Outcome != postdate.Accepted {
				err = errors.New(a.Error)
			}
			results <- err
		}()
	}
	for range Backlog {
		require.NoError(t, <-results)
	}
	got := make(map[string]string, Backlog)
	for range Backlog {
		arrival := h.next(t)
		got[arrival.ID] = string(arrival.Data)
	}
	require.Equal(t, want, got)
}

// requireFailure holds a to what a failed attempt without an answer must say.
func requireFailure(t *testing.T, a postdate.Attempt, to postdate.Target) {
	t.Helper()
	require.Equal(t, postdate.Failed, a.Outcome)
	require.NotEmpty(t, a.Error, "somebody will want to know why")
	require.Zero(t, a.Status)
	require.False(t, a.At.IsZero())
	u, err := url.Parse(to.URL)
	require.NoError(t, err)
	for _, secret := range []string{u.Path, u.RawQuery} {
		if len(secret) > 1 {
			require.NotContains(t, a.Error, secret, "of the destination it may tell the host, no more")
		}
	}
}

// next is the next arrival.
func (h Harness) next(t *testing.T) Arrival {
	t.Helper()
	select {
	case arrival := <-h.Arrived:
		return arrival
	case <-time.After(patience):
		require.FailNow(t, "nothing arrived")
		return Arrival{}
	}
}

// bounded is a context with a deadline that a healthy receiver never meets.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
