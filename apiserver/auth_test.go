package apiserver_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func TestAuth_EveryPathButPublicOnesNeedsTheKey(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	public := map[string]bool{"/healthz": true, "/readyz": true, "/metrics": true, "/openapi.yaml": true, "/docs": true}
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
	var secret apiserver.SigningSecret
	a.do(http.MethodGet, "/v1/signing_secret", "", "Postdate-Tenant", "").is(http.StatusOK).decode(&secret)
	require.Equal(t, "whsec_default", secret.Secret)
	a.do(http.MethodGet, "/v1/signing_secret", "", "Postdate-Tenant", "acme").is(http.StatusOK).decode(&secret)
	require.Equal(t, "whsec_acme", secret.Secret)
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
