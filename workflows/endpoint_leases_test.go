package workflows_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// process is a worker that renews its lease as a pacer does, and has as much in flight as
// it may.
type process struct {
	e      *endpointEnv
	name   string
	demand int
	killed bool

	held     postdate.Pace
	until    time.Time
	inFlight int
}

// begin makes p renew its lease every second in that time.
func (p *process) begin(from, to time.Duration) {
	for at := from; at < to; at += time.Second {
		p.e.at(at, func() {
			if p.killed {
				return
			}
			now := p.e.Now()
			if !now.Before(p.until) {
				p.held = postdate.Pace{}
			}
			ask := protocol.LeaseRequest{
				Worker: p.name, Settings: p.e.in.Settings, Has: p.held,
				InFlight: p.inFlight, Waiting: max(0, p.demand-p.inFlight),
			}
			p.e.ask(ask, func(l protocol.Lease) {
				p.held, p.until = l.Pace, now.Add(l.TTL.Duration())
				p.inFlight = min(p.demand, l.Pace.InFlight)
			})
		})
	}
}

func TestEndpoint_SharesNeverSumToMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10, PerSecond: 50, Burst: 5})
	var all []*process
	for i, demand := range []int{40, 40, 3} {
		p := &process{e: e, name: fmt.Sprintf("worker-%d", i), demand: demand}
		p.begin(time.Duration(i)*7*time.Second+time.Duration(i)*100*time.Millisecond, time.Minute)
		all = append(all, p)
	}
	for at := 50 * time.Millisecond; at < time.Minute; at += 100 * time.Millisecond {
		e.at(at, func() {
			var sum postdate.Pace
			for _, p := range all {
				if e.Now().Before(p.until) {
					sum.InFlight += p.held.InFlight
					sum.PerSecond += p.held.PerSecond
					sum.Burst += p.held.Burst
				}
			}
			require.LessOrEqual(t, sum.InFlight, 10, "after %s", e.Now().Sub(start))
			require.LessOrEqual(t, sum.PerSecond, 50.0001, "after %s", e.Now().Sub(start))
			require.LessOrEqual(t, sum.Burst, 5, "after %s", e.Now().Sub(start))
		})
	}
	e.at(6*time.Second, func() { require.Equal(t, 10, all[0].held.InFlight, "a single worker has all of it") })
	e.at(13*time.Second, func() {
		require.Equal(t, 5, all[0].held.InFlight)
		require.Equal(t, 5, all[1].held.InFlight, "a new worker has its share within seconds")
	})
	e.at(25*time.Second, func() {
		require.Equal(t, 3, all[2].held.InFlight, "a worker that wants less gets what it wants")
		require.Equal(t, 10, all[0].held.InFlight+all[1].held.InFlight+all[2].held.InFlight, "nothing is unused")
		all[1].killed = true
	})
	e.at(39*time.Second, func() { require.Equal(t, 7, all[0].held.InFlight, "a share is free again when its lease ends") })
	e.run()
}

func TestEndpoint_AReturnedShareIsFreeAtOnce(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 4})
	e.lease(0, protocol.LeaseRequest{Worker: "a", InFlight: 0, Waiting: 4})
	none := e.lease(time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 4})
	e.lease(2*time.Second, protocol.LeaseRequest{Worker: "a"})
	all := e.lease(2*time.Second+time.Millisecond, protocol.LeaseRequest{Worker: "b", Waiting: 4})
	e.run()
	require.Zero(t, none.Pace.InFlight)
	require.Equal(t, 4, all.Pace.InFlight)
}

func TestEndpoint_SavesNoMoreTokensThanTheBurst(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 100, PerSecond: 1, Burst: 2})
	first := e.lease(time.Minute, protocol.LeaseRequest{Worker: "a", Waiting: 1})
	second := e.lease(time.Minute+time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 1, InFlight: 2, Has: postdate.Pace{InFlight: 100, PerSecond: 1, Burst: 2}})
	e.lease(time.Minute+2*time.Second, protocol.LeaseRequest{Worker: "a", Tokens: 0.5})
	third := e.lease(time.Minute+3*time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 1})
	e.run()
	require.InDelta(t, 2, first.Tokens, 1e-6)
	require.Equal(t, 2, first.Pace.Burst)
	require.InDelta(t, 1, first.Pace.PerSecond, 1e-6)
	require.Zero(t, second.Tokens, "the worker saves the tokens itself")
	require.InDelta(t, 1.5, third.Tokens, 1e-6, "the returned tokens, and a second's")
}

func TestEndpoint_SharesARateAmongNoMoreWorkersThanItsBurst(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 100, PerSecond: 5, Burst: 1})
	a, b := &process{e: e, name: "a", demand: 3}, &process{e: e, name: "b", demand: 3}
	a.begin(0, time.Minute)
	b.begin(100*time.Millisecond, time.Minute)
	had := map[string]int{}
	for at := 500 * time.Millisecond; at < time.Minute; at += time.Second {
		e.at(at, func() {
			require.False(t, a.held.InFlight > 0 && b.held.InFlight > 0)
			for _, p := range []*process{a, b} {
				if p.held.InFlight > 0 {
					had[p.name]++
				}
			}
		})
	}
	e.run()
	require.Greater(t, had["a"], 20)
	require.Greater(t, had["b"], 20, "they alternate")
	require.Greater(t, had["a"]+had["b"], 50)
}

func TestEndpoint_AppliesChangedSettingsToTheNextLease(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	before := e.lease(0, protocol.LeaseRequest{Worker: "a", Waiting: 20})
	changed := enabled(postdate.Pace{InFlight: 3})
	changed.Version = 2
	e.at(time.Second, func() { e.SignalWorkflow(protocol.SignalSettings, changed) })
	after := e.lease(2*time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 10, InFlight: 10, Has: postdate.Pace{InFlight: 10}, Settings: e.in.Settings})
	paused := changed
	paused.Version, paused.State = 3, postdate.Paused
	stopped := e.lease(3*time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 10, Settings: paused})
	health := e.health(3 * time.Second)
	e.run()
	require.Equal(t, 10, before.Pace.InFlight)
	require.Equal(t, 3, after.Pace.InFlight)
	require.Zero(t, stopped.Pace.InFlight)
	require.Equal(t, "the endpoint is paused", stopped.Reason)
	require.Equal(t, 3, health.Limit.InFlight)
}

func TestEndpoint_AHalfOpenBreakerHasOneProbe(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	failed := throttle.Feedback{Failed: 5, Trailing: 5}
	opened := e.lease(0, protocol.LeaseRequest{Worker: "a", Waiting: 5, Feedback: failed})
	e.lease(time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 5})
	e.lease(time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 5})
	probe := e.lease(4*time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 5})
	other := e.lease(4*time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 5})
	same := e.lease(5*time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 4, InFlight: 1, Has: postdate.Pace{InFlight: 1}})
	again := e.lease(6*time.Second, protocol.LeaseRequest{Worker: "a", Waiting: 5, Has: postdate.Pace{InFlight: 1}, Feedback: throttle.Feedback{Failed: 1, Trailing: 1}})
	e.lease(7*time.Second, protocol.LeaseRequest{Worker: "a"})
	second := e.lease(13*time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 5})
	slow := e.lease(14*time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 5, Has: postdate.Pace{InFlight: 1}, Feedback: throttle.Feedback{Succeeded: 1, Answered: 1, LatencyMS: 10}})
	e.run()

	require.Zero(t, opened.Pace.InFlight)
	require.True(t, opened.Required)
	require.True(t, start.Add(3*time.Second).Equal(opened.BlockedUntil))
	require.Equal(t, 1, probe.Pace.InFlight)
	require.InDelta(t, 1, probe.Tokens, 0)
	require.Less(t, probe.Pace.PerSecond, 0.01, "no second attempt follows by itself")
	require.Zero(t, other.Pace.InFlight)
	require.Zero(t, same.Tokens)
	require.True(t, start.Add(12*time.Second).Equal(again.BlockedUntil), "it is open for twice as long")
	require.Equal(t, 1, second.Pace.InFlight)
	require.Equal(t, 1, slow.Pace.InFlight, "a slow start")
	require.Zero(t, slow.Pace.PerSecond, "without a rate")
	require.True(t, slow.BlockedUntil.IsZero())
}

func TestEndpoint_ARetryAfterIsForAllWorkers(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	e.lease(0, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: throttle.Feedback{
		Failed: 1, Slowed: 1, Trailing: 1, Answered: 1, NotBefore: start.Add(time.Minute),
	}})
	closed := e.lease(time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 1})
	health := e.health(2 * time.Second)
	open := e.lease(61*time.Second, protocol.LeaseRequest{Worker: "b", Waiting: 1})
	later := e.health(62 * time.Second)
	e.run()
	require.Equal(t, start.Add(time.Minute), health.NotBefore)
	require.Equal(t, closed.Reason, health.Reason)
	require.Zero(t, later.NotBefore)
	require.Zero(t, closed.Pace.InFlight)
	require.True(t, start.Add(time.Minute).Equal(closed.BlockedUntil))
	require.Equal(t, "the receiver asked to be left alone until 2026-11-21T09:01:00Z", closed.Reason)
	require.Equal(t, 5, open.Pace.InFlight)
}

func TestEndpoint_AReportGetsNoShare(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 100})
	unleased := e.lease(0, protocol.LeaseRequest{Worker: "a", ReportOnly: true, InFlight: 7, Feedback: throttle.Feedback{Succeeded: 3, Answered: 3, LatencyMS: 300}})
	health := e.health(time.Second)
	troubled := e.lease(2*time.Second, protocol.LeaseRequest{Worker: "a", ReportOnly: true, InFlight: 7, Feedback: throttle.Feedback{Failed: 2, Slowed: 2, Trailing: 2}})
	e.run()
	require.False(t, unleased.Required)
	require.Equal(t, 7, health.InFlight)
	require.InDelta(t, 100, *health.LatencyMS, 0.1)
	require.InDelta(t, 1, *health.SuccessRatio, 0.1)
	require.True(t, troubled.Required)
}
