package streams

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

func TestRecord_SaysOfWhichTickItIs(t *testing.T) {
	t.Parallel()
	m := postdate.Message{ID: "rent@2026-12-01T12:00:00Z", Tenant: "acme", Type: "rent.due", Data: []byte(`{}`), Tick: &postdate.TickRef{
		Number: 12, NominalTime: time.Date(2026, time.December, 1, 9, 0, 0, 0, time.FixedZone("", -3*60*60)),
	}}
	numbered := newRecord(m, postdate.Target{Mode: postdate.CloudEventsBinary}, "").Headers
	require.Subset(t, numbered, []Header{{"postdate-tick", "12"}, {"postdate-nominal-time", "2026-12-01T12:00:00Z"}})
	m.Tick.Number = 0 // fired, or backfilled
	extra := newRecord(m, postdate.Target{Mode: postdate.CloudEventsBinary}, "").Headers
	require.Len(t, extra, len(numbered)-1)
	require.Contains(t, extra, Header{"postdate-nominal-time", "2026-12-01T12:00:00Z"})
}
