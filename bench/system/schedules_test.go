package system

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestReschedule_HoldsTheAPIToTheTimeThatWasAskedFor(t *testing.T) {
	t.Parallel()
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	later := due.Add(24 * time.Hour)
	for answered, ok := range map[time.Time]bool{later: true, due: false} {
		p, got := answering(t, http.StatusOK, fmt.Sprintf(`{"id": "x", "due_at": %q}`, answered.Format(time.RFC3339)))
		m := &rig.Message{ID: "x", Due: due}
		err := p.Reschedule(t.Context(), m, later)
		require.Equal(t, "PATCH /v1/schedules/x", got.line)
		require.Equal(t, map[string]any{"due_at": "2027-01-02T00:00:00Z"}, got.body)
		if !ok {
			require.ErrorContains(t, err, "rescheduled to 2027-01-02")
			continue
		}
		require.NoError(t, err)
		require.Equal(t, later, m.Due)
	}
}

func TestSpread_HoldsAMessageToTheTimeThatItWasMovedTo(t *testing.T) {
	t.Parallel()
	due := time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)
	for moved, within := range map[time.Duration]bool{
		-time.Millisecond: false, 0: true, 5999 * time.Millisecond: true, 6 * time.Second: false,
	} {
		p, got := answering(t, http.StatusCreated, fmt.Sprintf(`{"id": "x", "due_at": %q}`, due.Add(moved).Format(time.RFC3339Nano)))
		m := &rig.Message{ID: "x", Due: due}
		err := Spread{p, due, 6 * time.Second}.Publish(t.Context(), m)
		require.Equal(t, "6s", got.body["spread"])
		require.Equal(t, "2027-01-01T00:00:00Z", got.body["due_at"])
		if !within {
			require.ErrorContains(t, err, "moved to", moved)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, due.Add(moved), m.Due)
	}
}

func TestList_AsksForAPage(t *testing.T) {
	t.Parallel()
	p, got := answering(t, http.StatusOK, `{"data": [{"id": "a"}], "has_more": true, "next_cursor": "c"}`)
	page, err := p.List(t.Context(), url.Values{"entity": {"customer 1"}})
	require.NoError(t, err)
	require.Equal(t, "GET /v1/schedules?entity=customer+1", got.line)
	require.Equal(t, "a", page.Data[0].ID)
	require.True(t, page.HasMore)
	require.Equal(t, "c", page.NextCursor)
	require.NoError(t, p.Cancel(t.Context(), &rig.Message{ID: "a"}))
	require.Equal(t, "DELETE /v1/schedules/a", got.line)
}
