package workflows_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// steady is the feedback of a receiver whose attempts take a second.
var steady = throttle.Feedback{Succeeded: 10, Answered: 10, LatencyMS: 10_000}

func TestEndpoint_WakesTheOldestLinesFirst(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	paused := e.in.Settings
	e.in.Settings.State, e.in.Settings.Version = postdate.Paused, 1
	paused.Version, paused.State = 2, postdate.Enabled
	e.join(0, line("third", 40, 3*time.Second))
	e.join(time.Second, line("first", 40, time.Second))
	e.join(2*time.Second, line("second", 40, 2*time.Second))
	e.at(3*time.Second, func() { require.Empty(t, e.called(), "no line while it is paused") })
	e.at(4*time.Second, func() { e.SignalWorkflow(protocol.SignalSettings, paused) })
	e.at(5*time.Second, func() { require.Equal(t, []string{"first", "second"}, e.called()) })
	e.leave(6*time.Second, line("first", 10, 1500*time.Millisecond))
	e.at(7*time.Second, func() {
		require.Equal(t, []string{"first", "second", "first"}, e.called(), "a line with some left is first again")
	})
	e.leave(8*time.Second, line("first", 0, time.Second))
	e.at(9*time.Second, func() { require.Equal(t, []string{"first", "second", "first", "third"}, e.called()) })
	e.leave(10*time.Second, line("second", 0, time.Second))
	e.leave(10*time.Second, line("third", 0, time.Second))
	e.run()
	require.Len(t, e.calls, 4)
	require.Equal(t, "line/acme/ep_1/first", e.calls[0].line)
}

func TestEndpoint_ALineThatWasWokenInVainRests(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.join(0, line("a", 5, 0))
	e.leave(2*time.Second, line("a", 5, 0))
	e.leave(4*time.Second, line("a", 0, 0))
	e.run()
	require.Len(t, e.calls, 2)
	require.Equal(t, 3*time.Second, e.calls[1].at)
}

func TestEndpoint_RemovesALineThatIsGone(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.gone["line/acme/ep_1/a"] = true
	e.join(0, line("a", 5, 0))
	health := e.health(time.Second)
	e.run()
	require.Empty(t, e.calls)
	require.Zero(t, health.Waiting)
}

func TestEndpoint_WakesALineAgainThatDidNotReport(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.join(0, line("a", 5, 0))
	e.leave(4*time.Minute, line("a", 0, 0))
	e.run()
	require.Len(t, e.calls, 2)
	require.Equal(t, 3*time.Minute, e.calls[1].at)
}

func TestEndpoint_WakesNoLineWhileItsBreakerIsOpenAndThenOne(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.lease(0, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: throttle.Feedback{Failed: 5, Trailing: 5}})
	for i := range 3 {
		e.join(time.Second, line(fmt.Sprint(i), 50, time.Duration(i)*time.Second))
	}
	e.at(2900*time.Millisecond, func() { require.Empty(t, e.called()) })
	e.at(3100*time.Millisecond, func() { require.Equal(t, []string{"0"}, e.called()) })
	// Its probe succeeds.
	e.lease(4*time.Second, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: throttle.Feedback{Succeeded: 1, Answered: 1}})
	e.at(4100*time.Millisecond, func() { require.Equal(t, []string{"0", "1"}, e.called()) })
	for i := range 3 {
		e.leave(5*time.Second, line(fmt.Sprint(i), 0, 0))
	}
	e.run()
}

func TestEndpoint_ReadsItsSettingsWhileLinesWaitAndNothingMayBeSent(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	read := e.in.Settings
	e.in.Settings = protocol.EndpointSettings{}
	read.State = postdate.Disabled
	e.settings = func() protocol.EndpointSettings { return read }
	e.join(0, line("a", 5, 0))
	e.at(70*time.Second, func() {
		require.Equal(t, 3, e.reads)
		read.State, read.Version = postdate.Enabled, 2
	})
	e.at(91*time.Second, func() { require.Equal(t, []string{"a"}, e.called()) })
	e.leave(2*time.Minute, line("a", 0, 0))
	e.run()
	require.Equal(t, 4, e.reads)
}

func TestEndpoint_WakesAllLinesAndEndsOnceDeleted(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 1})
	for i := range 250 {
		e.join(0, line(fmt.Sprint(i), 100, 0))
	}
	e.at(time.Second, func() { e.SignalWorkflow(protocol.SignalSettings, protocol.EndpointSettings{Version: 2}) })
	e.run()
	require.Len(t, e.calls, 250+2, "two had been woken before")
	require.Less(t, e.Now().Sub(start), time.Minute)
}

func TestEndpoint_CoalescesToTheLatestOfEachKey(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.in.Settings.Coalesce = true
	e.in.Settings.State = postdate.Paused
	enabled := e.in.Settings
	enabled.State, enabled.Version = postdate.Enabled, 2
	one, two := line("one", 4, 0), line("two", 2, time.Second)
	one.Keys, two.Keys = []string{"x", "y", "x", ""}, []string{"y", "z"}
	e.join(0, two)
	e.join(time.Second, one) // later, though it is older
	e.join(2*time.Second, one)
	position := &postdate.QueuePosition{}
	e.at(3*time.Second, func() {
		value, err := e.QueryWorkflow(protocol.QueryTurn, "two")
		require.NoError(t, err)
		require.NoError(t, value.Get(position))
		e.SignalWorkflow(protocol.SignalSettings, enabled)
	})
	e.leave(4*time.Second, line("one", 0, 0))
	e.leave(4*time.Second, line("two", 0, 0))
	e.run()
	require.Equal(t, 2, position.Ahead)
	require.Len(t, e.calls, 2)
	require.Equal(t, []int{0, 1}, e.calls[0].Superseded)
	require.Empty(t, e.calls[1].Superseded)
}

func TestEndpoint_AnnouncesEachOverloadOnce(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10}) // 10 a second, at a second each
	soon := line("a", 100, 0)
	soon.ExpiresAt = start.Add(30 * time.Second)
	e.lease(0, protocol.LeaseRequest{Worker: "w", InFlight: 10, Feedback: steady})
	e.join(0, soon)
	unleased := e.health(500 * time.Millisecond)
	late := line("b", 400, time.Second)
	late.ExpiresAt = start.Add(40 * time.Second)
	e.join(time.Second, late)
	e.join(2*time.Second, late)
	overloaded := e.health(3 * time.Second)
	e.leave(4*time.Second, line("b", 0, 0))
	over := e.health(5 * time.Second)
	e.join(6*time.Second, late)
	e.leave(7*time.Second, line("a", 0, 0))
	e.leave(7*time.Second, line("b", 0, 0))
	e.run()
	require.False(t, unleased.Overloaded)
	require.Equal(t, start.Add(10500*time.Millisecond), unleased.DrainedAt.UTC())
	require.True(t, overloaded.Overloaded)
	require.False(t, over.Overloaded)
	require.Len(t, e.announced, 2)
	require.NotEqual(t, e.announced[0].ID, e.announced[1].ID)
	require.Equal(t, postdate.EndpointOverloaded, e.announced[0].Type)
	var news map[string]any
	require.NoError(t, json.Unmarshal(e.announced[0].Data, &news))
	require.InDelta(t, 500, news["waiting"], 0)
	require.Equal(t, "ep_1", news["endpoint"])
	require.Equal(t, []string{
		"endpoint is overloaded tenant=acme endpoint=ep_1 reason=more waits than can be sent in time waiting=500 drained_at=2026-11-21T09:00:51Z",
		"endpoint is no longer overloaded tenant=acme endpoint=ep_1 waiting=100 since=2026-11-21T09:00:01Z",
	}, e.logged.lines[:2])
	require.Len(t, e.logged.lines, 4)
}

func TestEndpoint_CarriesItsStateIntoItsNextRun(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10, PerSecond: 5, Burst: 5})
	e.in.Settings.Coalesce = true
	e.lease(0, protocol.LeaseRequest{Worker: "w", InFlight: 3, Feedback: throttle.Feedback{Failed: 1, Slowed: 1, Trailing: 1, Answered: 1, LatencyMS: 100}})
	a, b := line("a", 2, 0), line("b", 2, time.Second)
	a.Keys, b.Keys = []string{"x", "y"}, []string{"x", ""}
	b.ExpiresAt = start.Add(time.Hour)
	e.join(time.Second, b)
	e.join(2*time.Second, a)
	before := e.health(3 * time.Second)
	next := e.runUntil(4 * time.Second)
	require.Less(t, len(encoded(t, next)), 2000)
	require.Len(t, next.Lines, 2)

	again := newEndpointEnv(t, postdate.Pace{})
	again.in = next
	again.SetStartTime(start.Add(4 * time.Second))
	after := again.health(time.Second)
	third := again.runUntil(2 * time.Second)
	before.DrainedAt, after.DrainedAt = time.Time{}, time.Time{} // counted from the moment of the query
	require.Equal(t, before, after)
	require.Equal(t, next.Lines, third.Lines)
	require.Equal(t, next.Latest, third.Latest)
	require.Equal(t, next.Leases, third.Leases)
	require.Equal(t, encoded(t, next.Throttle), encoded(t, third.Throttle))
	require.Empty(t, again.calls, "lines that were woken are not woken again")
}

func TestEndpoint_CarriesAnOpenBreakerIntoItsNextRun(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.lease(0, protocol.LeaseRequest{Worker: "a", Waiting: 1, Feedback: throttle.Feedback{Failed: 5, Trailing: 5}}) // for three seconds
	e.join(time.Second, line("second", 50, time.Second))
	e.join(time.Second, line("first", 50, 0))
	next := e.runUntil(2 * time.Second)
	require.Empty(t, e.called())

	again := newEndpointEnv(t, postdate.Pace{})
	again.in = next
	again.SetStartTime(start.Add(2 * time.Second))
	closed := again.lease(800*time.Millisecond, protocol.LeaseRequest{Worker: "a", Waiting: 1})
	again.at(900*time.Millisecond, func() { require.Empty(t, again.called()) })
	probe := again.lease(1100*time.Millisecond, protocol.LeaseRequest{Worker: "a", Waiting: 5})
	again.at(1200*time.Millisecond, func() { require.Equal(t, []string{"first"}, again.called(), "one, for the probe") })
	again.leave(2*time.Second, line("first", 0, 0))
	again.leave(2*time.Second, line("second", 0, 0))
	again.run()
	require.Zero(t, closed.Pace.InFlight)
	require.True(t, start.Add(3*time.Second).Equal(closed.BlockedUntil))
	require.Equal(t, 1, probe.Pace.InFlight)
	require.InDelta(t, 1, probe.Tokens, 0)
}

func TestEndpoint_CarriesTenThousandLinesIntoItsNextRun(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 1})
	e.in.Settings.State = postdate.Paused
	for i := range 10_000 {
		e.in.Lines = append(e.in.Lines, protocol.QueuedLine{
			ID: fmt.Sprintf("ln_%027d", i), Waiting: 100, Since: start.UnixMilli(), Expires: start.UnixMilli(),
			Called: start.UnixMilli(), Old: make([]byte, 13),
		})
	}
	e.in.Latest = map[string]protocol.LatestEntry{}
	for i := range 10_000 {
		e.in.Latest[fmt.Sprintf("%016d", i)] = protocol.LatestEntry{Line: fmt.Sprintf("ln_%027d", i), Place: 12}
	}
	e.join(0, line("one more", 1, 0))
	next := e.runUntil(time.Second)
	require.Len(t, next.Lines, 10_000)
	require.Less(t, len(encoded(t, next)), 2_000_000, "the engine takes 2 MB")
}

func TestEndpoint_IgnoresACancellation(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 1})
	e.join(0, line("a", 1, 0))
	e.at(time.Second, e.CancelWorkflow)
	e.join(2*time.Second, line("b", 1, 0))
	next := e.runUntil(3 * time.Second)
	require.Len(t, next.Lines, 2)
	require.Equal(t, []string{"a", "b"}, e.called())
}

func TestEndpoint_EndsWhenUnused(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 1})
	e.lease(0, protocol.LeaseRequest{Worker: "w", Waiting: 1})
	e.run()
	require.Equal(t, 10*time.Minute, e.Now().Sub(start))
}
