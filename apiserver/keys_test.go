package apiserver_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func TestKeys_AreShownOnce(t *testing.T) {
	t.Parallel()
	log := newLog()
	a := newAPI(t, log.into)
	expires := tomorrow()
	var made apiserver.KeyWithText
	a.do(http.MethodPost, "/v1/keys", `{"scope":"admin","description":"mine","expires_at":"`+expires.Format(time.RFC3339)+`"}`).
		is(http.StatusCreated).decode(&made)
	require.Regexp(t, "^pdk_"+a.tenant+"_[A-Z2-7]{33}$", made.Key)
	require.Equal(t, made.Key[:len(made.Key)-27], made.Prefix)

	w := a.with(made.Key, http.MethodGet, "/v1/keys", "").is(http.StatusOK)
	require.NotContains(t, w.Body.String(), made.Key)
	var list apiserver.KeyList
	w.decode(&list)
	require.Equal(t, []apiserver.Key{{
		ID: made.ID, Prefix: made.Prefix, Scope: postdate.Admin, Description: "mine", CreatedAt: made.CreatedAt, ExpiresAt: &expires,
	}}, list.Data)

	tenant, err := configured.Tenant(t.Context(), a.tenant)
	require.NoError(t, err)
	require.NotContains(t, tenant.Keys[0].Hash, made.Key[len(made.Key)-20:], "a hash is kept")
	log.mu.Lock()
	defer log.mu.Unlock()
	require.NotContains(t, log.text.String(), made.Key)
	require.Contains(t, log.text.String(), made.ID, "the log says which key was used")
}

func TestKeys_WriteIsTheScopeOfWhoAsksForNone(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	var made apiserver.KeyWithText
	a.do(http.MethodPost, "/v1/keys", `{}`).is(http.StatusCreated).decode(&made)
	require.Equal(t, postdate.Write, made.Scope)
	a.with(made.Key, http.MethodPost, "/v1/schedules", message{"delay": "1h"}.String()).is(http.StatusCreated)
}

// A tenant's name may hold what divides a key's parts.
func TestKeys_OfTenantsWithUnderscores(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	a.tenant = "_" + strings.ReplaceAll(uuid.NewString(), "-", "_") + "_"
	a.with(a.key(postdate.Read).Key, http.MethodGet, "/v1/endpoints", "").is(http.StatusOK)
}

func TestKeys_RefusesWhatCannotBe(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for body, at := range map[string]string{
		`{"scope":"root"}`:                                   "/scope",
		`{"expires_at":"2020-01-01T00:00:00Z"}`:              "/expires_at",
		`{"description":"` + strings.Repeat("d", 257) + `"}`: "/description",
	} {
		p := a.do(http.MethodPost, "/v1/keys", body).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, at, p.Errors[0].Pointer)
	}
	a.do(http.MethodDelete, "/v1/keys/key_x", "").problem(http.StatusNotFound, postdate.NotFound)
	key := a.key(postdate.Read)
	a.do(http.MethodDelete, "/v1/keys/key_x", "").problem(http.StatusNotFound, postdate.NotFound)
	newAPI(t).do(http.MethodDelete, "/v1/keys/"+key.ID, "").problem(http.StatusNotFound, postdate.NotFound)
	a.with(key.Key, http.MethodGet, "/v1/endpoints", "").is(http.StatusOK)
}
