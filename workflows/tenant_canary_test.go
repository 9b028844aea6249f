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

// withCanary is an endpoint that has a canary.
func withCanary(change ...func(*postdate.Canary)) postdate.Endpoint {
	canary := postdate.Canary{ID: "cn_1", URL: "https://next.example/hooks", Plan: planOf(postdate.ThenPromote).Plan, Then: postdate.ThenPromote}
	begun := canary.Begun(nil, start)
	for _, each := range change {
		each(begun)
	}
	return endpoint("ep_1", func(e *postdate.Endpoint) { e.Canary = begun })
}

// signals records which executions are to know of a change.
func (e *tenantEnv) signals(failures int) *[]protocol.CanaryRef {
	var signalled []protocol.CanaryRef
	e.RegisterActivityWithOptions(func(_ context.Context, of protocol.CanaryRef) error {
		if failures > 0 {
			failures--
			return errors.New("not now")
		}
		signalled = append(signalled, of)
		return nil
	}, activity.RegisterOptions{Name: protocol.SignalEndpointActivity})
	return &signalled
}

func canaryChange(action protocol.CanaryAction, change ...func(*protocol.ChangeCanary)) protocol.ChangeCanary {
	c := protocol.ChangeCanary{ID: "ep_1", Canary: "cn_1", Action: action}
	for _, each := range change {
		each(&c)
	}
	return c
}

func TestTenant_BeginsACanaryAndHasItsEndpointKnow(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	signalled := e.signals(3)
	patch := protocol.PatchEndpoint{ID: "ep_1", Patch: postdate.EndpointPatch{Canary: &postdate.Canary{
		ID: "cn_1", URL: "https://next.example/hooks", Plan: planOf("").Plan,
	}}}
	given := e.update(time.Minute, protocol.UpdatePatchEndpoint, patch)
	patch.Patch.Canary = &postdate.Canary{ID: "cn_2", URL: "https://next.example/hooks", Share: 250}
	grown := e.update(time.Hour, protocol.UpdatePatchEndpoint, patch)
	patch.Patch.Canary = &postdate.Canary{}
	removed := e.update(time.Hour, protocol.UpdatePatchEndpoint, patch)
	next := e.run()

	require.Equal(t, postdate.CanaryRunning, given.Endpoint.Canary.State)
	require.Equal(t, 100, given.Endpoint.Canary.Share)
	require.Equal(t, start.Add(time.Minute), given.Endpoint.Canary.StepAt.UTC())
	require.Equal(t, "cn_1", grown.Endpoint.Canary.ID, "the same url keeps its entities")
	require.Equal(t, 250, grown.Endpoint.Canary.Share)
	require.Nil(t, removed.Endpoint.Canary)
	require.Nil(t, next.Tenant.Endpoints[0].Canary)
	ref := protocol.CanaryRef{Tenant: "acme", Endpoint: "ep_1", Canary: "cn_1"}
	require.Equal(t, []protocol.CanaryRef{ref, ref, ref}, *signalled, "each change once, though it failed at first")
	require.Empty(t, next.Canaries)
}

func TestTenant_RefusesACanaryThatBreaksTheRules(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	refused := e.update(time.Minute, protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{ID: "ep_1", Patch: postdate.EndpointPatch{
		Canary: &postdate.Canary{ID: "cn_1", URL: "https://next.example/hooks"},
	}})
	e.run()
	require.Equal(t, "/canary", refused.refusal.Pointer)
}

func TestTenant_AdvancesACanaryStepByStep(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", withCanary())
	e.signals(0)
	step := func(n int) protocol.ChangeCanary {
		return canaryChange(protocol.CanaryAdvance, func(c *protocol.ChangeCanary) { c.Step, c.Auto = n, true })
	}
	first := e.update(time.Minute, protocol.UpdateChangeCanary, step(1))
	again := e.update(time.Minute, protocol.UpdateChangeCanary, step(1))
	third := e.update(time.Minute, protocol.UpdateChangeCanary, step(3))
	other := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryRollback, func(c *protocol.ChangeCanary) { c.Canary = "cn_0" }))
	stale := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryRollback, func(c *protocol.ChangeCanary) { c.StepAt = start }))
	held := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryHold))
	late := e.update(time.Minute, protocol.UpdateChangeCanary, step(2))
	next := e.run()

	require.Equal(t, 1000, first.Endpoint.Canary.Share)
	require.Equal(t, start.Add(time.Minute), first.Endpoint.Canary.StepAt.UTC())
	require.Equal(t, first.Version, again.Version, "a step is taken once")
	require.Equal(t, first.Version, third.Version, "and none is left out")
	require.Equal(t, first.Version, other.Version, "another canary is not meant")
	require.Equal(t, first.Version, stale.Version, "it was decided about an earlier step")
	require.Equal(t, postdate.CanaryHeld, held.Endpoint.Canary.State)
	require.Equal(t, held.Version, late.Version, "whoever held it came first")
	require.Equal(t, 1000, next.Tenant.Endpoints[0].Canary.Share)
}

func TestTenant_PromotesACanary(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", withCanary())
	e.signals(0)
	promoted := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryPromote))
	again := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryPromote))
	back := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryRollback))
	late := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryRollback, func(c *protocol.ChangeCanary) { c.Auto = true }))
	e.run()

	require.Equal(t, "https://next.example/hooks", promoted.Endpoint.URL)
	require.Equal(t, postdate.CanaryPromoted, promoted.Endpoint.Canary.State)
	require.Equal(t, start.Add(time.Minute), promoted.Endpoint.Canary.EndedAt.UTC())
	require.Equal(t, promoted.Version, again.Version)
	require.Equal(t, postdate.Conflict, back.refusal.Code)
	require.Equal(t, promoted.Version, late.Version, "nobody is there to read a refusal")
	require.Empty(t, e.announced)
}

func TestTenant_AnnouncesARollbackThatNobodyAskedFor(t *testing.T) {
	t.Parallel()
	for _, auto := range []bool{true, false} {
		e := newTenantEnv(t, "acme", withCanary(func(c *postdate.Canary) { c.State = postdate.CanaryHeld }))
		e.signals(0)
		rolledBack := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryRollback, func(c *protocol.ChangeCanary) {
			c.Auto, c.Reason = auto, "it is worse"
		}))
		next := e.run()
		require.Equal(t, postdate.CanaryRolledBack, rolledBack.Endpoint.Canary.State)
		require.Equal(t, "https://crm.example/hooks/ep_1", next.Tenant.Endpoints[0].URL)
		if !auto {
			require.Empty(t, e.announced)
			continue
		}
		require.Equal(t, []string{postdate.EndpointCanaryRolledBack}, e.types())
		require.JSONEq(t, `{"tenant":"acme","endpoint":"ep_1","host":"crm.example","reason":"it is worse"}`, string(e.announced[0].Data))
	}
}

func TestTenant_BeginsAStepAgainOnceItsEndpointIsEnabled(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", withCanary())
	e.signals(0)
	e.update(time.Minute, protocol.UpdateSetEndpointState, state(postdate.Paused, ""))
	enabled := e.update(time.Hour, protocol.UpdateSetEndpointState, state(postdate.Enabled, ""))
	e.run()
	require.Equal(t, start.Add(61*time.Minute), enabled.Endpoint.Canary.StepAt.UTC())
}

func TestTenant_HasNoCanaryToChange(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	none := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange(protocol.CanaryHold))
	unknown := e.update(time.Minute, protocol.UpdateChangeCanary, canaryChange("dance"))
	e.run()
	require.Equal(t, postdate.NotFound, none.refusal.Code)
	require.Equal(t, postdate.NotFound, unknown.refusal.Code)
}
