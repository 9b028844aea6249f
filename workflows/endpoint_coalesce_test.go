package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// keyed is a line of 100 deliveries with keys of their own.
func keyed(n int, since time.Duration) protocol.LineStatus {
	l := line(fmt.Sprintf("line-%d", n), 100, since)
	for i := range 100 {
		l.Keys = append(l.Keys, fmt.Sprintf("entity-%d-%d", n, i))
	}
	return l
}

// coalescing is an env of a paused endpoint that coalesces.
func coalescing(t *testing.T) *endpointEnv {
	t.Helper()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.in.Settings.Coalesce, e.in.Settings.State = true, postdate.Paused
	return e
}

func TestEndpoint_SaysThatCoalescingIsFullAtItsBound(t *testing.T) {
	t.Parallel()
	e := coalescing(t)
	for n := range 100 {
		e.join(time.Duration(n)*time.Millisecond, keyed(n, time.Duration(n)*time.Millisecond))
	}
	below := line("one more", 1, time.Second)
	below.Keys = []string{"entity-0-0"} // of a known key
	beyond := line("beyond", 2, 2*time.Second)
	beyond.Keys = []string{"not known", "not known"}
	freed := line("freed", 2, 3*time.Second)
	freed.Keys = []string{"not known", "not known"}
	e.join(time.Second, below)
	full := e.health(1500 * time.Millisecond)
	e.join(2*time.Second, beyond)
	after := e.health(2500 * time.Millisecond)
	e.leave(3*time.Second, line("line-7", 0, 0))
	free := e.health(3200 * time.Millisecond)
	e.join(3500*time.Millisecond, freed)
	last := e.health(3700 * time.Millisecond)
	next := e.runUntil(4 * time.Second)
	require.Equal(t, "full", full.Coalescing)
	require.Equal(t, 10_000, full.Waiting, "of a known key the latest is sent still")
	require.Equal(t, "full", after.Coalescing)
	require.Equal(t, 10_002, after.Waiting, "of other keys all are")
	require.Empty(t, free.Coalescing)
	require.Equal(t, 9902, free.Waiting)
	require.Equal(t, 9903, last.Waiting, "there is room for another key")
	require.Len(t, next.Latest, 9901)
}

func TestEndpoint_TakesTenTimesTheKeysThatItCoalesces(t *testing.T) {
	t.Parallel()
	e := coalescing(t)
	const lines = 1000 // 100,000 keys
	for hundred := range lines / 100 {
		e.at(time.Duration(hundred)*time.Millisecond, func() {
			for n := range 100 {
				up := keyed(100*hundred+n, time.Duration(hundred)*time.Millisecond)
				e.UpdateWorkflow(protocol.UpdateJoin, "", &answered{t: t}, up)
			}
		})
	}
	health := e.health(lines * time.Millisecond)
	began := time.Now()
	next := e.runUntil(2 * time.Second)
	require.Less(t, time.Since(began), 10*time.Second, "it took minutes where keys were sorted at the bound")
	require.Equal(t, "full", health.Coalescing)
	require.Equal(t, 100*lines, health.Waiting)
	require.Len(t, next.Latest, 10_000)
	require.Len(t, next.Lines, lines)
}

func TestEndpoint_ForgetsKeysThatAnEarlierVersionLeftBehind(t *testing.T) {
	t.Parallel()
	e := coalescing(t)
	e.in.Lines = []protocol.QueuedLine{{ID: "there", Waiting: 1, Since: start.UnixMilli()}}
	e.in.Latest = map[string]protocol.LatestEntry{"a": {Line: "there"}}
	for i := range 9_999 {
		e.in.Latest[fmt.Sprint("gone", i)] = protocol.LatestEntry{Line: "gone"}
	}
	health := e.health(time.Second)
	next := e.runUntil(2 * time.Second)
	require.Empty(t, health.Coalescing)
	require.Len(t, next.Latest, 1)
}
