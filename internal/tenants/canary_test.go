package tenants

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// createWithCanary creates an endpoint that has a canary.
func (d *fixture) createWithCanary(canary postdate.Canary) {
	d.t.Helper()
	canary.ID, canary.URL = "cn_1", "https://next.example/hooks"
	e := endpoint("ep_1")
	e.Canary = &canary
	_, _, err := d.CreateEndpoint(d.t.Context(), d.tenant, e)
	require.NoError(d.t, err)
}

// awaitCanary waits until the canary is in that state, and returns its endpoint.
func (d *fixture) awaitCanary(state postdate.CanaryState) postdate.Endpoint {
	d.t.Helper()
	eventually.True(d.t, func() bool {
		tenant, err := d.Fresh(d.t.Context(), d.tenant)
		require.NoError(d.t, err)
		e, _ := tenant.Endpoint("ep_1")
		return e.Canary.State == state
	})
	return d.endpoint("ep_1")
}

// at is an attempt at the canary.
func at(canary string, attempt postdate.Attempt) postdate.Attempt {
	attempt.Canary = canary
	return attempt
}

func second(percent float64) postdate.CanaryStep {
	return postdate.CanaryStep{Percent: percent, For: postdate.Duration(time.Second)}
}

func TestCanary_IsDrivenByItsPlanWithoutAnAttempt(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.createWithCanary(postdate.Canary{Plan: []postdate.CanaryStep{second(1), second(10), {Percent: 100}}, Then: postdate.ThenPromote})
	promoted := d.awaitCanary(postdate.CanaryPromoted)
	require.Equal(t, "https://next.example/hooks", promoted.URL)
	require.Equal(t, 2, promoted.Canary.Step)
	d.record("tenant/canary-promoted", protocol.TenantID(d.tenant))
	d.record("endpoint/canary-promoted", protocol.EndpointID(d.tenant, "ep_1"))
}

func TestCanary_IsHeldAtTheEndOfItsPlan(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.createWithCanary(postdate.Canary{Plan: []postdate.CanaryStep{second(1), {Percent: 50}}})
	held := d.awaitCanary(postdate.CanaryHeld)
	require.Equal(t, 5000, held.Canary.Share)
	require.Equal(t, "its plan is done", held.Canary.Reason)
	_, err := d.CanaryAction(t.Context(), d.tenant, protocol.ChangeCanary{ID: "ep_1", Action: protocol.CanaryRollback})
	require.NoError(t, err)
	require.Equal(t, endpoint("ep_1").URL, d.endpoint("ep_1").URL)
	d.record("tenant/canary-held", protocol.TenantID(d.tenant))
	d.record("endpoint/canary-held", protocol.EndpointID(d.tenant, "ep_1"))
}

func TestCanary_IsRolledBackWhereItIsWorse(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.createWithCanary(postdate.Canary{Share: 100, AutoRollback: &postdate.AutoRollback{Margin: 10, Minimum: 5}})
	for range 5 {
		d.attempts(accepted, accepted, at("cn_0", failed)) // another canary's says nothing
		d.attempts(at("cn_1", accepted), at("cn_1", failed))
	}
	back := d.awaitCanary(postdate.CanaryRolledBack)
	require.Zero(t, back.FailingSince, "what its canary answers says nothing of the endpoint")
	require.Contains(t, back.Canary.Reason, "at the canary succeeded, and 100.0 % of")
	require.Equal(t, []string{postdate.EndpointCanaryRolledBack}, d.types(1))
	d.record("tenant/canary-rolled-back", protocol.TenantID(d.tenant))
	d.record("endpoint/canary-rolled-back", protocol.EndpointID(d.tenant, "ep_1"))
}

func TestCanary_IsRolledBackWhereItIsGone(t *testing.T) {
	t.Parallel()
	for status, reason := range map[int]string{410: "it answered 410 Gone", 200: "it asked for that by webhook-delivery: disable"} {
		d := newFixture(t)
		d.createWithCanary(postdate.Canary{Share: 100})
		d.attempts(postdate.Attempt{Outcome: postdate.Failed, Status: status, Disable: true, Canary: "cn_1"})
		back := d.awaitCanary(postdate.CanaryRolledBack)
		require.Equal(t, reason, back.Canary.Reason)
		require.Equal(t, postdate.Enabled, back.State, "its endpoint goes on")
		require.Equal(t, []string{postdate.EndpointCanaryRolledBack}, d.types(1))
	}
}

// A report that fails is not lost, and comes before what was counted since.
func TestCanary_CountsWhatCouldNotBeReported(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	of := canaryOf{d.tenant, "ep_1", "cn_1"}
	count := func(attempt postdate.Attempt) (c protocol.CanaryCounts) {
		c.AtCanary = c.AtCanary.Count(attempt)
		return c
	}
	d.addCanary(of, count(failed), false)
	d.addCanary(of, count(accepted), true)
	require.Equal(t, 2, d.canaries.counts[of].AtCanary.Attempts)
	require.Equal(t, 1, d.canaries.counts[of].AtCanary.Trailing)
	d.Close()
	require.Empty(t, d.canaries.counts, "nothing has such a canary")
}

// A canary that was rolled back while its execution was away is known there in the end.
func TestCanary_ChangesReachItsOwnExecution(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.createWithCanary(postdate.Canary{Share: 100, MaxInFlight: 3})
	key := postdate.CanaryKey("ep_1", "cn_1")
	require.NoError(t, d.signalOrStart(t.Context(), d.tenant, key, protocol.SignalSettings,
		protocol.SettingsOf(d.read(), key, 100), protocol.SettingsOf(d.read(), key, 100)))
	health := func() (health protocol.EndpointHealth) {
		value, err := temporal.QueryWorkflow(t.Context(), protocol.EndpointID(d.tenant, key), "", protocol.QueryHealth)
		require.NoError(t, err)
		require.NoError(t, value.Get(&health))
		return health
	}
	require.Equal(t, 3, health().Limit.InFlight)
	_, err := d.CanaryAction(t.Context(), d.tenant, protocol.ChangeCanary{ID: "ep_1", Action: protocol.CanaryRollback})
	require.NoError(t, err)
	eventually.True(t, func() bool { return health().State == "" })
}
