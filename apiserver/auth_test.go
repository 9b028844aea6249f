package apiserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func TestAuth_EveryPathButPublicOnesNeedsTheKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	public := map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/openapi.yaml": true, "/docs": true, "/in/{token}": true}
	for path, item := range contract.Paths.Map() {
		for method := range item.Operations() {
			path := strings.Replace(path, "{id}", "x", 1)
			w := a.do(method, path, "", "Authorization", "")
			if public[path] {
				require.NotEqual(t, http.StatusUnauthorized, w.Code, path)
				continue
			}
			w.problem(http.StatusUnauthorized, postdate.Unauthorized)
			require.Equal(t, `Bearer realm="postdate"`, w.Header().Get("WWW-Authenticate"))
		}
	}
	a.do(http.MethodGet, "/docs/swagger-ui.css", "", "Authorization", "").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/what", "", "Authorization", "").problem(http.StatusUnauthorized, postdate.Unauthorized)
	a.do(http.MethodGet, "/docs/../v1/schedules", "", "Authorization", "").is(http.StatusNotFound)
}

func TestAuth_TheKeyIsTheKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, header := range []string{
		"", "Bearer", "Bearer ", "Bearer x", "Bearer " + adminKey + "x", "Bearer " + adminKey[1:], "Basic " + adminKey, adminKey,
		"Bearer " + strings.ToUpper(adminKey),
	} {
		a.do(http.MethodGet, "/v1/schedules", "", "Authorization", header).problem(http.StatusUnauthorized, postdate.Unauthorized)
	}
	a.do(http.MethodGet, "/v1/schedules", "", "Authorization", "bearer "+adminKey).is(http.StatusOK)
}

func TestAuth_TenantsAreNamedWell(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, tenant := range []string{"a/b", "a b", "ä", "../default", strings.Repeat("a", 65), "a:b", "a'b"} {
		p := a.do(http.MethodGet, "/v1/signing_secret", "", "Postdate-Tenant", tenant).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, "/Postdate-Tenant", p.Errors[0].Pointer)
	}
}

// everyOperation is each operation of the specification that needs a key, with
// an id that stands for nothing.
func everyOperation(yield func(method, path string, op *openapi3.Operation)) {
	for path, item := range contract.Paths.Map() {
		for method, op := range item.Operations() {
			if op.Security == nil {
				yield(method, strings.Replace(path, "{id}", "x", 1), op)
			}
		}
	}
}

// with calls the API with a key of a tenant's instead of the operator's.
func (a *api) with(key, method, path, body string, headers ...string) answer {
	a.t.Helper()
	return a.do(method, path, body, append([]string{"Authorization", "Bearer " + key, "Postdate-Tenant", ""}, headers...)...)
}

// key makes the tenant a key.
func (a *api) key(scope postdate.Scope) apiserver.KeyWithText {
	a.t.Helper()
	var made apiserver.KeyWithText
	a.do(http.MethodPost, "/v1/keys", `{"scope":"`+string(scope)+`"}`).is(http.StatusCreated).decode(&made)
	return made
}

func TestAuth_EveryOperationAsksForItsScope(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, scope := range postdate.Scopes {
		key := a.key(scope)
		everyOperation(func(method, path string, op *openapi3.Operation) {
			needed := postdate.Write
			if method == http.MethodGet {
				needed = postdate.Read
			}
			if said, ok := op.Extensions["x-scope"].(string); ok {
				needed = postdate.Scope(said)
			}
			w := a.with(key.Key, method, path, "")
			if scope.Includes(needed) {
				require.NotContains(t, []int{http.StatusUnauthorized, http.StatusForbidden}, w.Code, "%s: %s %s", scope, method, path)
				return
			}
			w.problem(http.StatusForbidden, postdate.Forbidden)
		})
	}
}

// Operations that show or create keys and secrets need the scope admin.
func TestAuth_OnlyAdministratorsGetAtSecrets(t *testing.T) {
	t.Parallel()
	everyOperation(func(method, path string, op *openapi3.Operation) {
		tag := op.Tags[0]
		if tag == "keys" || tag == "secrets" || strings.HasSuffix(path, "/rotate_secret") {
			require.Equal(t, "admin", op.Extensions["x-scope"], "%s %s", method, path)
		}
	})
}

func TestAuth_AKeyOpensItsOwnTenantOnly(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	key := a.key(postdate.Admin).Key
	a.with(key, http.MethodGet, "/v1/schedules", "", "Postdate-Tenant", a.tenant).is(http.StatusOK)
	everyOperation(func(method, path string, _ *openapi3.Operation) {
		for _, other := range []string{b.tenant, "nobody", "default", "a/b"} {
			a.with(key, method, path, "", "Postdate-Tenant", other).problem(http.StatusForbidden, postdate.Forbidden)
		}
	})
	theirs := strings.Replace(key, a.tenant, b.tenant, 1)
	a.with(theirs, http.MethodGet, "/v1/schedules", "").problem(http.StatusUnauthorized, postdate.Unauthorized)
}

// Nobody learns from an error whether a key, or its tenant, has ever existed.
func TestAuth_UnknownKeysAreAllAlike(t *testing.T) {
	t.Parallel()
	now := time.Now()
	a := newAPI(t, func(c *apiserver.Config) { c.Now = func() time.Time { return now } })
	revoked, expired := a.key(postdate.Read), apiserver.KeyWithText{}
	a.do(http.MethodPost, "/v1/keys", `{"expires_at":"`+now.Add(time.Hour).Format(time.RFC3339)+`"}`).is(http.StatusCreated).decode(&expired)
	for _, key := range []string{revoked.Key, expired.Key} {
		a.with(key, http.MethodGet, "/v1/schedules", "").is(http.StatusOK)
	}
	a.do(http.MethodDelete, "/v1/keys/"+revoked.ID, "").is(http.StatusOK)
	now = now.Add(time.Hour)

	begin, random := "pdk_"+a.tenant+"_", strings.Repeat("A", 26)
	for _, key := range []string{
		revoked.Key, expired.Key, begin + random, "pdk_nobody_" + random, "pdk_a/b_" + random, begin, begin + random + "A", random,
	} {
		p := a.with(key, http.MethodGet, "/v1/schedules", "").problem(http.StatusUnauthorized, postdate.Unauthorized)
		require.Equal(t, "this key is not known", p.Detail, key)
	}
}

func TestTenants_SeeTheirOwnOnly(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	mine := a.create(message{"id": "x", "delay": "1h", "entity": "e"})
	dead := a.create(message{"id": "y", "to": answering(http.StatusGone)})
	require.Equal(t, postdate.Dead, a.ended(dead.ID).State)
	for _, id := range []string{mine.ID, dead.ID} {
		for _, call := range []struct{ method, path, body string }{
			{http.MethodGet, "/v1/schedules/" + id, ""},
			{http.MethodPatch, "/v1/schedules/" + id, `{"data":1}`},
			{http.MethodDelete, "/v1/schedules/" + id, ""},
			{http.MethodPost, "/v1/schedules/" + id + "/fire", ""},
			{http.MethodGet, "/v1/deliveries/" + id, ""},
			{http.MethodPost, "/v1/deliveries/" + id + "/retry", ""},
			{http.MethodPost, "/v1/deliveries/" + id + "/cancel", ""},
		} {
			b.do(call.method, call.path, call.body).problem(http.StatusNotFound, postdate.NotFound)
		}
	}
	a.listed(2)
	require.Empty(t, b.list("/v1/schedules"))
	require.Empty(t, b.list("/v1/deliveries", "entity", "e"))

	theirs := b.create(message{"id": "x", "delay": "2h"})
	require.NotEqual(t, mine.DueAt, theirs.DueAt, "an id is one tenant's")
	require.Equal(t, mine, a.get("x"))
}

// What is guessed of another tenant's is answered like what was never there.
func TestTenants_SeeTheirOwnEventsOnly(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	endpoint := a.register(registration{"url": answering(http.StatusGone)}).ID
	a.do(http.MethodPost, "/v1/events", `{"id":"e","type":"t","entity":"x"}`).is(http.StatusAccepted)
	a.listed(1, "state", "dead")
	var sweep apiserver.Operation
	a.do(http.MethodPost, "/v1/deliveries/retry", `{"entity":"none"}`).is(http.StatusAccepted).decode(&sweep)
	a.do(http.MethodGet, "/v1/operations/"+sweep.ID, "").is(http.StatusOK)
	key := a.key(postdate.Read)

	other := b.key(postdate.Admin).Key
	for _, call := range []struct{ method, path, body string }{
		{http.MethodGet, "/v1/events/e", ""},
		{http.MethodGet, "/v1/deliveries/e." + endpoint, ""},
		{http.MethodPost, "/v1/deliveries/e." + endpoint + "/retry", ""},
		{http.MethodPost, "/v1/deliveries/e." + endpoint + "/cancel", ""},
		{http.MethodGet, "/v1/operations/" + sweep.ID, ""},
		{http.MethodGet, "/v1/endpoints/" + endpoint, ""},
		{http.MethodPatch, "/v1/endpoints/" + endpoint, `{"description":"mine now"}`},
		{http.MethodDelete, "/v1/endpoints/" + endpoint, ""},
		{http.MethodPost, "/v1/endpoints/" + endpoint + "/rotate_secret", ""},
		{http.MethodPost, "/v1/endpoints/" + endpoint + "/test", ""},
		{http.MethodPost, "/v1/endpoints/" + endpoint + "/pause", ""},
		{http.MethodPost, "/v1/endpoints/" + endpoint + "/resume", ""},
		{http.MethodDelete, "/v1/keys/" + key.ID, ""},
	} {
		w := b.with(other, call.method, call.path, call.body)
		w.problem(http.StatusNotFound, postdate.NotFound)
		require.NotContains(t, w.Body.String(), a.tenant)
	}
	for _, path := range []string{"/v1/deliveries", "/v1/deliveries?entity=x", "/v1/deliveries?endpoint=" + endpoint, "/v1/endpoints", "/v1/schedules"} {
		require.JSONEq(t, `{"data":[],"has_more":false}`, b.with(other, http.MethodGet, path, "").is(http.StatusOK).Body.String())
	}
	var counted apiserver.Operation
	b.with(other, http.MethodPost, "/v1/deliveries/retry", `{"dry_run":true}`).is(http.StatusOK).decode(&counted)
	require.Zero(t, counted.Found)
	require.NotContains(t, b.with(other, http.MethodGet, "/v1/keys", "").Body.String(), key.ID)

	var mine apiserver.Published
	b.do(http.MethodPost, "/v1/events", `{"id":"e","type":"t"}`).is(http.StatusAccepted).decode(&mine)
	require.False(t, mine.Duplicate, "an id is one tenant's")
	require.Empty(t, mine.Deliveries, "and so are subscriptions")
}

// No two tenants' names differ by case alone.
func TestAuth_TenantsAreInLowerCase(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.do(http.MethodGet, "/v1/endpoints", "", "Postdate-Tenant", "acme_1-b").is(http.StatusOK)
	a.do(http.MethodGet, "/v1/endpoints", "", "Postdate-Tenant", "Acme_1-b").problem(http.StatusUnprocessableEntity, postdate.Invalid)
}
