package workflows_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

func TestTenant_KeepsWhatIsConfigured(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme")
	made := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_1", func(e *postdate.Endpoint) { e.State = "" }))
	read := e.read(0)
	again := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_1"))
	known := e.read(8)
	next := e.run()

	require.Equal(t, int64(8), made.Version)
	require.True(t, made.Created)
	require.Equal(t, postdate.Enabled, made.Endpoint.State)
	require.Equal(t, start.Add(time.Minute), made.Endpoint.CreatedAt.UTC())
	require.Equal(t, made.Endpoint.CreatedAt, made.Endpoint.UpdatedAt)
	require.False(t, again.Created, "a repeated request finds what the first one made")
	require.Equal(t, int64(8), again.Version)
	require.Equal(t, encoded(t, made.Endpoint), encoded(t, again.Endpoint))
	require.Equal(t, []postdate.Endpoint{*made.Endpoint}, read.Tenant.Endpoints)
	require.Equal(t, int64(8), read.Version)
	require.Equal(t, protocol.TenantRead{Version: 8}, *known)
	require.Equal(t, *read.Tenant, next.Tenant)
}

func TestTenant_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	unsent := "gopher://crm.example"
	for name, c := range map[string]struct {
		update  string
		arg     any
		code    postdate.Code
		pointer string
	}{
		"an id that is taken":           {protocol.UpdateCreateEndpoint, endpoint("ep_1", func(e *postdate.Endpoint) { e.Digest = "else" }), postdate.Conflict, "/id"},
		"one that is never sent to":     {protocol.UpdateCreateEndpoint, endpoint("ep_2", func(e *postdate.Endpoint) { e.URL = unsent }), postdate.Invalid, "/url"},
		"a patch that is never sent to": {protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{ID: "ep_1", Patch: postdate.EndpointPatch{URL: &unsent}}, postdate.Invalid, "/url"},
		"a patch of none":               {protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{ID: "ep_2"}, postdate.NotFound, ""},
		"the end of none":               {protocol.UpdateDeleteEndpoint, "ep_2", postdate.NotFound, ""},
		"a pause of none":               {protocol.UpdateSetEndpointState, protocol.SetEndpointState{ID: "ep_2", State: postdate.Paused}, postdate.NotFound, ""},
		"a state that is none":          {protocol.UpdateSetEndpointState, protocol.SetEndpointState{ID: "ep_1", State: "asleep"}, postdate.Invalid, "/state"},
		"a report on none":              {protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: "ep_2"}, postdate.NotFound, ""},
		"a secret for none":             {protocol.UpdateRotateSecret, protocol.RotateSecret{Endpoint: "ep_2", Secret: "whsec_x"}, postdate.NotFound, ""},
		"no secret":                     {protocol.UpdateRotateSecret, protocol.RotateSecret{}, postdate.Invalid, "/secret"},
		"a key's id that is taken":      {protocol.UpdateCreateKey, postdate.Key{ID: "key_1", Hash: "other"}, postdate.Conflict, "/id"},
		"a key that is none, to revoke": {protocol.UpdateRevokeKey, "key_2", postdate.NotFound, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newTenantEnv(t, "acme", endpoint("ep_1"))
			e.in.Tenant.Keys = []postdate.Key{{ID: "key_1", Hash: "hash"}}
			refused := e.update(time.Minute, c.update, c.arg)
			next := e.run()
			require.NotNil(t, refused.refusal)
			require.Equal(t, c.code, refused.refusal.Code)
			require.Equal(t, c.pointer, refused.refusal.Pointer)
			require.Equal(t, e.in, next, "what is refused changes nothing")
		})
	}
}

func TestTenant_HasAThousandEndpointsAndNoMore(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme")
	for i := range postdate.MaxEndpoints - 1 {
		e.in.Tenant.Endpoints = append(e.in.Tenant.Endpoints, endpoint(fmt.Sprintf("ep_%d", i)))
	}
	last := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_last"))
	refused := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_beyond"))
	repeated := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_last"))
	deleted := e.update(time.Minute, protocol.UpdateDeleteEndpoint, "ep_0")
	room := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_beyond"))
	next := e.run()

	require.Nil(t, last.refusal)
	require.Equal(t, postdate.Errorf(postdate.Invalid, "", "a tenant has at most 1000 endpoints"), refused.refusal)
	require.Nil(t, repeated.refusal)
	require.Nil(t, deleted.refusal)
	require.True(t, room.Created)
	require.Len(t, next.Tenant.Endpoints, postdate.MaxEndpoints)
	require.Equal(t, "ep_beyond", next.Tenant.Endpoints[postdate.MaxEndpoints-1].ID, "they are in the order in which they were made")
}

func TestTenant_TakesNoMoreThanTheEngineKeeps(t *testing.T) {
	t.Parallel()
	large := func(e *postdate.Endpoint) {
		e.Headers = map[string]postdate.Secret{"x-token": postdate.Secret(strings.Repeat("x", 4000))}
	}
	e := newTenantEnv(t, "acme")
	each := len(encoded(t, endpoint("ep_nnn", large))) + 1
	full := postdate.MaxTenantBytes / each
	for i := range full {
		e.in.Tenant.Endpoints = append(e.in.Tenant.Endpoints, endpoint(fmt.Sprintf("ep_%03d", i), large))
	}
	refused := e.update(time.Minute, protocol.UpdateCreateEndpoint, endpoint("ep_nnn", large))
	small := "still a little"
	patched := e.update(time.Minute, protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{ID: "ep_000", Patch: postdate.EndpointPatch{Description: &small}})
	paused := e.update(time.Minute, protocol.UpdateSetEndpointState, protocol.SetEndpointState{ID: "ep_000", State: postdate.Disabled})
	next := e.run()

	require.NotNil(t, refused.refusal)
	require.Equal(t, postdate.Invalid, refused.refusal.Code)
	require.Contains(t, refused.refusal.Detail, "at most 1500000 bytes in all: with this they would take 15")
	require.Nil(t, patched.refusal)
	require.Nil(t, paused.refusal)
	require.Len(t, next.Tenant.Endpoints, full)
}

func TestTenant_HasAHundredKeysAndNoMore(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme")
	for i := range postdate.MaxKeys - 1 {
		e.in.Tenant.Keys = append(e.in.Tenant.Keys, postdate.Key{ID: fmt.Sprintf("key_%d", i)})
	}
	key := postdate.Key{ID: "key_last", Hash: "hash", Scope: postdate.Write}
	last := e.update(time.Minute, protocol.UpdateCreateKey, key)
	repeated := e.update(time.Minute, protocol.UpdateCreateKey, key)
	refused := e.update(time.Minute, protocol.UpdateCreateKey, postdate.Key{ID: "key_beyond"})
	revoked := e.update(time.Minute, protocol.UpdateRevokeKey, "key_0")
	next := e.run()

	require.True(t, last.Created)
	require.Equal(t, start.Add(time.Minute), last.Key.CreatedAt.UTC())
	require.False(t, repeated.Created)
	require.Equal(t, last.Key, repeated.Key)
	require.Equal(t, postdate.Errorf(postdate.Invalid, "", "a tenant has at most 100 keys"), refused.refusal)
	require.Equal(t, "key_0", revoked.Key.ID)
	require.Len(t, next.Tenant.Keys, postdate.MaxKeys-1)
	require.Equal(t, *last.Key, next.Tenant.Keys[postdate.MaxKeys-2])
}

func TestTenant_PatchesWhatIsNamed(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"), endpoint("ep_2"))
	url := "http://crm.example/elsewhere"
	patched := e.update(time.Minute, protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{
		ID: "ep_2", Patch: postdate.EndpointPatch{URL: &url, EventTypes: []string{"*"}},
	})
	next := e.run()

	want := endpoint("ep_2", func(e *postdate.Endpoint) {
		e.URL, e.EventTypes, e.UpdatedAt = url, []string{"*"}, start.Add(time.Minute)
	})
	require.Equal(t, int64(8), patched.Version)
	require.Equal(t, want, next.Tenant.Endpoints[1])
	require.Equal(t, e.in.Tenant.Endpoints[0], next.Tenant.Endpoints[0])
}

func TestTenant_RotatesSecrets(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	rotate := func(endpoint string, secret postdate.Secret) protocol.RotateSecret {
		return protocol.RotateSecret{Endpoint: endpoint, Secret: secret, Overlap: postdate.Duration(day)}
	}
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	e.update(0, protocol.UpdateRotateSecret, rotate("ep_1", "whsec_2"))
	repeated := e.update(time.Hour, protocol.UpdateRotateSecret, rotate("ep_1", "whsec_2"))
	third := e.update(2*day, protocol.UpdateRotateSecret, rotate("ep_1", "whsec_3"))
	next := e.run()

	require.Equal(t, int64(8), repeated.Version)
	require.Equal(t, int64(9), third.Version)
	require.Equal(t, postdate.ExpiringSecrets{
		{Secret: "whsec_3"}, {Secret: "whsec_2", Until: start.Add(3*day + time.Hour)},
	}, next.Tenant.Endpoints[0].Secrets, "those that sign no more are dropped")
}

func TestTenant_RotatesItsOwnSecret(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme")
	ensured := e.update(0, protocol.UpdateRotateSecret, protocol.RotateSecret{Secret: "whsec_1", Ensure: true})
	kept := e.update(time.Minute, protocol.UpdateRotateSecret, protocol.RotateSecret{Secret: "whsec_2", Ensure: true})
	rotated := e.update(time.Minute, protocol.UpdateRotateSecret, protocol.RotateSecret{
		Secret: "whsec_3", Before: "whsec_0", Overlap: postdate.Duration(time.Hour),
	})
	next := e.run()

	require.Equal(t, postdate.Secret("whsec_1"), ensured.Secret)
	require.Equal(t, postdate.Secret("whsec_1"), kept.Secret)
	require.Equal(t, int64(8), kept.Version)
	require.Equal(t, postdate.Secret("whsec_3"), rotated.Secret)
	require.Equal(t, postdate.ExpiringSecrets{
		{Secret: "whsec_3"}, {Secret: "whsec_1", Until: start.Add(time.Hour + 2*time.Minute)},
	}, next.Tenant.Secrets)
}

func TestTenant_LetsTheSecretBeforeItsFirstGoOn(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "default")
	e.update(0, protocol.UpdateRotateSecret, protocol.RotateSecret{
		Secret: "whsec_1", Before: "whsec_operators", Overlap: postdate.Duration(time.Hour),
	})
	require.Equal(t, postdate.ExpiringSecrets{
		{Secret: "whsec_1"}, {Secret: "whsec_operators", Until: start.Add(time.Hour)},
	}, e.run().Tenant.Secrets)
}
