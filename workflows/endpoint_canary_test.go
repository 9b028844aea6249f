package workflows_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// canaryEnv runs an endpoint that has a canary, beside a tenant that makes its changes.
type canaryEnv struct {
	*endpointEnv

	changes []protocol.ChangeCanary
	at      []time.Duration // when each was made
	away    int             // how many changes fail first
}

func newCanaryEnv(t *testing.T, canary postdate.Canary) *canaryEnv {
	t.Helper()
	e := &canaryEnv{endpointEnv: newEndpointEnv(t, postdate.Pace{InFlight: 10})}
	canary.ID, canary.URL = "cn_1", "https://next.example"
	e.in.Settings.Canary = canary.Begun(nil, start)
	e.RegisterActivityWithOptions(func(_ context.Context, in protocol.EndpointCanaryChange) (protocol.EndpointSettings, error) {
		if e.away > 0 {
			e.away--
			return protocol.EndpointSettings{}, errors.New("the tenant is away")
		}
		require.Equal(t, "acme", in.Tenant)
		e.changes, e.at = append(e.changes, in.Change), append(e.at, e.Now().Sub(start))
		return e.changed(in.Change), nil
	}, activity.RegisterOptions{Name: protocol.ChangeCanaryActivity})
	return e
}

// changed are the settings after a change, as the tenant has them.
func (e *canaryEnv) changed(change protocol.ChangeCanary) protocol.EndpointSettings {
	canary := *e.in.Settings.Canary
	switch change.Action {
	case protocol.CanaryAdvance:
		canary = *canary.Advanced(change.Step, e.Now())
	case protocol.CanaryHold:
		canary.State = postdate.CanaryHeld
	case protocol.CanaryPromote:
		canary.State = postdate.CanaryPromoted
	case protocol.CanaryRollback:
		canary.State = postdate.CanaryRolledBack
	}
	e.in.Settings.Canary = &canary
	e.in.Settings.Version++
	return e.in.Settings
}

// report reports counts of both sides, so long after the start.
func (e *canaryEnv) report(when time.Duration, primary, canary protocol.SideCounts) {
	e.endpointEnv.at(when, func() {
		e.SignalWorkflow(protocol.SignalCanary, protocol.CanaryReport{
			Settings: e.in.Settings, Canary: "cn_1", CanaryCounts: protocol.CanaryCounts{Primary: primary, AtCanary: canary},
		})
	})
}

// sideCounts are so many attempts, of which the first ones succeeded.
func sideCounts(succeeded, failed int) (c protocol.SideCounts) {
	for range succeeded {
		c = c.Count(postdate.Attempt{Outcome: postdate.Accepted, Status: 200, DurationMS: 10})
	}
	for range failed {
		c = c.Count(postdate.Attempt{Outcome: postdate.Failed, Status: 500, DurationMS: 10})
	}
	return c
}

// actions are what was done with the canary.
func (e *canaryEnv) actions() (actions []protocol.CanaryAction) {
	for _, change := range e.changes {
		actions = append(actions, change.Action)
	}
	return actions
}

func planOf(then postdate.CanaryEnd) postdate.Canary {
	return postdate.Canary{Then: then, Plan: []postdate.CanaryStep{
		{Percent: 1, For: postdate.Duration(10 * time.Minute)}, {Percent: 10, For: postdate.Duration(time.Hour)}, {Percent: 100},
	}}
}

func TestEndpoint_DrivesThePlanOfItsCanary(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, planOf(postdate.ThenPromote))
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance, protocol.CanaryAdvance, protocol.CanaryPromote}, e.actions())
	require.Equal(t, []int{1, 2, 0}, []int{e.changes[0].Step, e.changes[1].Step, e.changes[2].Step})
	require.Equal(t, 10*time.Minute, e.at[0].Truncate(time.Minute))
	require.Equal(t, 70*time.Minute, e.at[1].Truncate(time.Minute), "an hour after that step began")
	require.Equal(t, 70*time.Minute, e.at[2].Truncate(time.Minute), "the last step takes no time")
	require.Equal(t, "cn_1", e.changes[0].Canary)
}

func TestEndpoint_HoldsTheCanaryAtTheEndOfItsPlan(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, planOf(""))
	e.endpointEnv.at(3*time.Hour, func() { // it is rolled back by hand
		e.SignalWorkflow(protocol.SignalSettings, e.changed(protocol.ChangeCanary{Action: protocol.CanaryRollback}))
	})
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance, protocol.CanaryAdvance, protocol.CanaryHold}, e.actions())
}

func TestEndpoint_CarriesThePlanOnInItsNextRun(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, planOf(postdate.ThenPromote))
	e.report(9*time.Minute, sideCounts(10, 0), sideCounts(3, 0))
	e.report(11*time.Minute, sideCounts(100, 0), sideCounts(4, 0))
	next := e.runUntil(30 * time.Minute)
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance}, e.actions())
	require.Equal(t, 1, next.Settings.Canary.Step)
	require.Equal(t, 4, next.Canary.Recent.AtCanary.Attempts, "of this step")
	require.Equal(t, 7, next.Canary.Total)

	again := newCanaryEnv(t, postdate.Canary{})
	again.in = next
	again.SetStartTime(start.Add(30 * time.Minute))
	again.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance, protocol.CanaryPromote}, again.actions())
	require.Equal(t, 70*time.Minute, again.at[0].Truncate(time.Minute), "the timer goes on where it was")
}

func TestEndpoint_WaitsForItsTenantToChangeTheCanary(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, planOf(postdate.ThenPromote))
	e.away = 5
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance, protocol.CanaryAdvance, protocol.CanaryPromote}, e.actions(), "once each")
}

func TestEndpoint_StopsThePlanWhileItIsNotEnabled(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, planOf(postdate.ThenPromote))
	setState := func(state postdate.EndpointState, at time.Time) {
		canary := *e.in.Settings.Canary
		canary.StepAt = at
		e.in.Settings.Canary, e.in.Settings.State = &canary, state
		e.in.Settings.Version++
		e.SignalWorkflow(protocol.SignalSettings, e.in.Settings)
	}
	e.endpointEnv.at(5*time.Minute, func() { setState(postdate.Paused, start) })
	e.endpointEnv.at(2*time.Hour, func() {
		require.Empty(t, e.changes)
		setState(postdate.Enabled, e.Now())
	})
	e.run()
	require.Equal(t, 2*time.Hour+10*time.Minute, e.at[0].Truncate(time.Minute), "the step begins again")
}

func TestEndpoint_PromotesNoCanaryOfWhichTooLittleIsKnown(t *testing.T) {
	t.Parallel()
	for attempts, want := range map[int]protocol.CanaryAction{19: protocol.CanaryHold, 20: protocol.CanaryPromote} {
		canary := planOf(postdate.ThenPromote)
		canary.AutoRollback = &postdate.AutoRollback{Margin: 5, Minimum: 20}
		e := newCanaryEnv(t, canary)
		e.report(time.Minute, sideCounts(100, 0), sideCounts(attempts, 0))
		e.endpointEnv.at(3*time.Hour, func() {
			e.SignalWorkflow(protocol.SignalSettings, e.changed(protocol.ChangeCanary{Action: protocol.CanaryRollback}))
		})
		e.run()
		require.Equal(t, []protocol.CanaryAction{protocol.CanaryAdvance, protocol.CanaryAdvance, want}, e.actions(), "after %d attempts", attempts)
	}
}

func TestEndpoint_RollsAWorseCanaryBack(t *testing.T) {
	t.Parallel()
	canary := planOf(postdate.ThenPromote)
	canary.AutoRollback = &postdate.AutoRollback{Margin: 5, Minimum: 20}
	e := newCanaryEnv(t, canary)
	e.report(time.Minute, sideCounts(100, 0), sideCounts(5, 5))
	e.endpointEnv.at(90*time.Second, func() { require.Empty(t, e.changes, "too few") })
	e.report(2*time.Minute, sideCounts(100, 0), sideCounts(5, 5))
	health := e.health(3 * time.Minute)
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryRollback}, e.actions(), "and its plan goes no further")
	require.True(t, e.changes[0].Auto)
	require.Contains(t, e.changes[0].Reason, "50.0 % of 20 attempts at the canary succeeded, and 100.0 % of 200 at the primary")
	require.Equal(t, 20, health.Canary.Canary.Attempts, "what it was judged by can still be read")
	require.Equal(t, 200, health.Canary.Primary.Attempts)
}

func TestEndpoint_RollsAHeldCanaryBackToo(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, postdate.Canary{Share: 100, AutoRollback: &postdate.AutoRollback{Margin: 5, Minimum: 20}})
	e.in.Settings.Canary.State = postdate.CanaryHeld
	e.report(time.Minute, sideCounts(100, 0), sideCounts(0, 20))
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryRollback}, e.actions())
}

func TestEndpoint_RollsADeadCanaryBackWithoutAnotherReport(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, postdate.Canary{Share: 100, AutoRollback: &postdate.AutoRollback{Margin: 5, Minimum: 20}})
	e.report(time.Minute, sideCounts(100, 0), sideCounts(0, 8))
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryRollback}, e.actions())
	require.Equal(t, 90*time.Second, e.at[0].Truncate(time.Second))
}

func TestEndpoint_ForgetsWhatIsLongAgo(t *testing.T) {
	t.Parallel()
	window := postdate.Duration(10 * time.Minute)
	e := newCanaryEnv(t, postdate.Canary{Share: 100, AutoRollback: &postdate.AutoRollback{Margin: 5, Minimum: 20, Window: window}})
	e.report(time.Minute, sideCounts(1000, 0), sideCounts(1000, 0))
	e.report(7*time.Minute, sideCounts(20, 0), sideCounts(10, 0))
	e.report(13*time.Minute, sideCounts(20, 0), sideCounts(8, 2)) // as one with the first it would be no worse
	e.run()
	require.Equal(t, []protocol.CanaryAction{protocol.CanaryRollback}, e.actions())
}

func TestEndpoint_IgnoresReportsOfAnotherCanary(t *testing.T) {
	t.Parallel()
	e := newCanaryEnv(t, postdate.Canary{Share: 100, AutoRollback: &postdate.AutoRollback{Margin: 5, Minimum: 20}})
	e.endpointEnv.at(time.Minute, func() {
		e.SignalWorkflow(protocol.SignalCanary, protocol.CanaryReport{
			Settings: e.in.Settings, Canary: "cn_0", CanaryCounts: protocol.CanaryCounts{Primary: sideCounts(100, 0), AtCanary: sideCounts(0, 100)},
		})
	})
	next := e.runUntil(time.Hour)
	require.Empty(t, e.changes)
	require.Zero(t, next.Canary.Total)
}
