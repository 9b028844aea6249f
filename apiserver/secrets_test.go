package apiserver_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
)

func (a *api) signingSecret() string {
	a.t.Helper()
	var secret apiserver.SigningSecret
	a.do(http.MethodGet, "/v1/signing_secret", "").is(http.StatusOK).decode(&secret)
	return secret.Secret
}

func (a *api) rotate(path, body string) apiserver.RotatedSecret {
	a.t.Helper()
	var rotated apiserver.RotatedSecret
	a.do(http.MethodPost, path, body).is(http.StatusOK).decode(&rotated)
	return rotated
}

func TestSecrets_EachTenantHasItsOwn(t *testing.T) {
	t.Parallel()
	a, b := newAPI(t), newAPI(t)
	secret := a.signingSecret()
	require.Regexp(t, "^whsec_", secret)
	require.Equal(t, secret, a.signingSecret())
	require.NotEqual(t, secret, b.signingSecret())
}

func TestSecrets_RotationOverlaps(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	signs := func(at time.Duration) []string {
		tenant, err := configured.Tenant(t.Context(), a.tenant)
		require.NoError(t, err)
		var all []string
		for _, secret := range tenant.Secrets.At(time.Now().Add(at)) {
			all = append(all, secret.Reveal())
		}
		return all
	}
	first := a.signingSecret()
	second := a.rotate("/v1/signing_secret/rotate", "")
	require.Equal(t, postdate.Duration(24*time.Hour), second.Overlap)
	require.Equal(t, second.Secret, a.signingSecret())
	require.Equal(t, []string{second.Secret, first}, signs(23*time.Hour))
	require.Equal(t, []string{second.Secret}, signs(25*time.Hour))

	third := a.rotate("/v1/signing_secret/rotate", `{"overlap":"0s"}`)
	require.Equal(t, []string{third.Secret}, signs(0))
}

func TestSecrets_OverlapHasBounds(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	for _, overlap := range []string{"-1s", "721h"} {
		p := a.do(http.MethodPost, "/v1/signing_secret/rotate", `{"overlap":"`+overlap+`"}`).problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Equal(t, "/overlap", p.Errors[0].Pointer)
	}
}
