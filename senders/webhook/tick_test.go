package webhook

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// The data of a tick is what the caller gave; headers say which tick it is.
func TestSend_SaysOfWhichTickItIs(t *testing.T) {
	t.Parallel()
	nominal := time.Date(2026, time.December, 1, 9, 0, 0, 0, time.FixedZone("", -3*60*60))
	for _, c := range []struct {
		tick          *postdate.TickRef
		number, dueAt string
	}{
		{nil, "", ""},
		{&postdate.TickRef{Number: 12, NominalTime: nominal}, "12", "2026-12-01T12:00:00Z"},
		{&postdate.TickRef{NominalTime: nominal}, "", "2026-12-01T12:00:00Z"}, // fired, or backfilled: it has no number
	} {
		m := message
		m.Tick = c.tick
		arrived := make(chan seen, 1)
		attempt, err := open().Send(t.Context(), m, serve(t, record(arrived)))
		require.NoError(t, err)
		require.Equal(t, postdate.Accepted, attempt.Outcome, attempt.Error)
		got := <-arrived
		require.Equal(t, c.number, got.Header.Get("Postdate-Tick"))
		require.Equal(t, c.dueAt, got.Header.Get("Postdate-Nominal-Time"))
		require.NotContains(t, got.body, "nominal")
	}
}
