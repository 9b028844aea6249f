package tenants

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

func TestStore_ChangesEndpoints(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	made := d.create("ep_1")
	require.Equal(t, made, d.endpoint("ep_1"))

	url := "http://crm.example/elsewhere"
	patched, err := d.PatchEndpoint(t.Context(), d.tenant, "ep_1", postdate.EndpointPatch{URL: &url})
	require.NoError(t, err)
	require.Equal(t, url, patched.URL)

	paused, err := d.SetEndpointState(t.Context(), d.tenant, "ep_1", postdate.Paused, "maintenance")
	require.NoError(t, err)
	require.Equal(t, "maintenance", paused.Reason)
	require.Equal(t, paused, d.endpoint("ep_1"))
	enabled, err := d.SetEndpointState(t.Context(), d.tenant, "ep_1", postdate.Enabled, "")
	require.NoError(t, err)
	require.Equal(t, postdate.Enabled, enabled.State)

	rotated, err := d.RotateEndpointSecret(t.Context(), d.tenant, "ep_1", "whsec_2", time.Hour)
	require.NoError(t, err)
	require.Len(t, rotated.Secrets, 2)
	require.Equal(t, postdate.Secret("whsec_2"), rotated.Secrets[0].Secret)
	d.record("tenant/changes", protocol.TenantID(d.tenant))

	require.NoError(t, d.DeleteEndpoint(t.Context(), d.tenant, "ep_1"))
	require.Empty(t, d.read().Endpoints)
	eventually.True(t, func() bool { return len(sweeps.of(d.tenant)) == 2 })
	started := sweeps.of(d.tenant)
	for i := range started {
		if started[i].Action == protocol.SweepCancel {
			require.NotNil(t, started[i].Filter.AcceptedBefore, "what is accepted later is for another endpoint")
			started[i].Filter.AcceptedBefore = nil
		}
	}
	require.ElementsMatch(t, []protocol.SweepInput{
		{Action: protocol.SweepRelease, Filter: postdate.Filter{Tenant: d.tenant, Endpoint: "ep_1", State: postdate.Parked}},
		{Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: d.tenant, Endpoint: "ep_1"}},
	}, started)

	release := protocol.SweepID(d.tenant, "ep_1-4")
	require.NoError(t, temporal.GetWorkflow(t.Context(), release, "").Get(t.Context(), nil))
	d.record("sweep/release", release)
	d.record("tenant/endpoint-deleted", protocol.TenantID(d.tenant))
}

func TestStore_CreatesOnce(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	made := d.create("ep_1")
	again, created, err := d.CreateEndpoint(t.Context(), d.tenant, endpoint("ep_1"))
	require.NoError(t, err)
	require.False(t, created)
	require.Equal(t, made, again)

	other := endpoint("ep_1")
	other.Digest = "asked for something else"
	_, _, err = d.CreateEndpoint(t.Context(), d.tenant, other)
	require.Equal(t, postdate.Errorf(postdate.Conflict, "/id", "another endpoint has this id"), err)
}

func TestStore_SaysWhyItRefuses(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	ctx := t.Context()
	for name, err := range map[string]error{
		"delete": d.DeleteEndpoint(ctx, d.tenant, "ep_2"),
		"revoke": d.RevokeKey(ctx, d.tenant, "key_1"),
	} {
		require.Equal(t, postdate.NotFound, postdate.CodeOf(err), name)
	}
	_, err := d.SetEndpointState(ctx, d.tenant, "ep_2", postdate.Paused, "")
	require.Equal(t, postdate.Errorf(postdate.NotFound, "", "no endpoint ep_2"), err)
	url := "ftp://crm.example"
	_, err = d.PatchEndpoint(ctx, d.tenant, "ep_1", postdate.EndpointPatch{URL: &url})
	require.Equal(t, postdate.Errorf(postdate.Invalid, "/url", "not an absolute https url"), err)
}

func TestStore_KeepsKeys(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	key := postdate.Key{ID: "key_1", Prefix: "pd_1234", Hash: "hash", Scope: postdate.Admin}
	require.NoError(t, d.CreateKey(t.Context(), d.tenant, key))
	require.NoError(t, d.CreateKey(t.Context(), d.tenant, key))
	kept := d.read().Keys
	require.Len(t, kept, 1)
	require.Equal(t, "hash", kept[0].Hash)
	require.NotZero(t, kept[0].CreatedAt)
	d.record("tenant/keys", protocol.TenantID(d.tenant))
	require.NoError(t, d.RevokeKey(t.Context(), d.tenant, "key_1"))
	require.Empty(t, d.read().Keys)
}

func TestStore_EnsuresASecret(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	first, err := d.EnsureSecret(t.Context(), d.tenant, "whsec_1")
	require.NoError(t, err)
	require.Equal(t, postdate.Secret("whsec_1"), first)
	second, err := New(Config{Temporal: temporal}).EnsureSecret(t.Context(), d.tenant, "whsec_2")
	require.NoError(t, err)
	require.Equal(t, first, second)
	require.NoError(t, d.RotateSecret(t.Context(), d.tenant, "whsec_3", time.Hour))
	require.Equal(t, []postdate.Secret{"whsec_3", "whsec_1"}, d.read().Secrets.At(time.Now()))
}

func TestStore_SignsForTheDefaultTenantUntilItsSecretIsRotated(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.config.DefaultSecret = "whsec_operators"
	require.Empty(t, d.read().Secrets)

	d.tenant = postdate.DefaultTenant
	t.Cleanup(d.forget)
	require.Equal(t, postdate.ExpiringSecrets{{Secret: "whsec_operators"}}, d.read().Secrets)
	ensured, err := d.EnsureSecret(t.Context(), d.tenant, "whsec_1")
	require.NoError(t, err)
	require.Equal(t, postdate.Secret("whsec_operators"), ensured)
	d.create("ep_1")
	require.Equal(t, postdate.ExpiringSecrets{{Secret: "whsec_operators"}}, d.read().Secrets)

	require.NoError(t, d.RotateSecret(t.Context(), d.tenant, "whsec_1", time.Hour))
	require.Equal(t, []postdate.Secret{"whsec_1", "whsec_operators"}, d.read().Secrets.At(time.Now()))
	d.record("tenant/default-secret-rotated", protocol.TenantID(d.tenant))
}

func TestStore_MakesMoreChangesThanTemporalAcceptsAtOnce(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	processes := []*Store{d.Store, New(Config{Temporal: temporal}), New(Config{Temporal: temporal})}
	const each = 10
	var all sync.WaitGroup
	for p, process := range processes {
		for i := range each {
			all.Go(func() {
				id := fmt.Sprintf("ep_%d_%d", p, i)
				if _, created, err := process.CreateEndpoint(t.Context(), d.tenant, endpoint(id)); err != nil || !created {
					t.Errorf("%s: %t %v", id, created, err)
				}
			})
		}
	}
	all.Wait()
	require.Len(t, d.read().Endpoints, each*len(processes))
}

func TestStore_ReturnsAChangeOnceEveryProcessHasIt(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_0")
	writer, reader := New(Config{Temporal: temporal, Shared: true}), New(Config{Temporal: temporal, Shared: true})
	stop := make(chan struct{})
	var reading sync.WaitGroup
	reading.Go(func() { // so that it has what it read at any moment of the last second
		for {
			if _, err := reader.Tenant(t.Context(), d.tenant); err != nil {
				t.Error(err)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	})
	for n := range 3 {
		_, _, err := writer.CreateEndpoint(t.Context(), d.tenant, endpoint(fmt.Sprintf("ep_%d", n+1)))
		require.NoError(t, err)
		seen, err := reader.Tenant(t.Context(), d.tenant)
		require.NoError(t, err)
		require.Len(t, seen.Endpoints, n+2)
	}
	close(stop)
	reading.Wait()
}
