package forms

import (
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/signature"
)

func secretOf(size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", size)))
}

const (
	createV1  = `{"url":"https://b.example/","event_types":["*"],"secret":%q}`
	createV1a = `{"url":"https://b.example/","event_types":["*"],"signature":"v1a","secret":%q}`
)

func with(form, secret string) string { return strings.Replace(form, "%q", `"`+secret+`"`, 1) }

func TestSecrets_CanBeBroughtAlong(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, secret := range []string{secretOf(24), secretOf(32), secretOf(64), "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"} {
		w := d.post("/v1/endpoints", with(createV1, secret))
		created, ok := w.is(http.StatusCreated).(postdate.Endpoint)
		require.True(t, ok)
		require.Equal(t, postdate.ExpiringSecrets{{Secret: postdate.Secret(secret)}}, created.Secrets)
		require.Contains(t, w.Body.String(), `"secret":"`+secret+`"`)
		for _, path := range []string{"/v1/endpoints/ep_1/rotate_secret", "/v1/signing_secret/rotate"} {
			w := d.post(path, `{"secret":"`+secret+`","overlap":"1h"}`)
			rotation, ok := w.is(http.StatusOK).(protocol.RotateSecret)
			require.True(t, ok)
			require.Equal(t, postdate.Secret(secret), rotation.Secret)
			require.JSONEq(t, `{"secret":"`+secret+`","overlap":"1h0m0s"}`, w.Body.String())
		}
	}
}

func TestSecrets_OfV1aAreKeys(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	key := signature.NewSigningKey()
	seed := "whsk_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("s", ed25519.SeedSize)))
	w := d.post("/v1/endpoints", with(createV1a, key.Reveal()))
	created, ok := w.is(http.StatusCreated).(postdate.Endpoint)
	require.True(t, ok)
	require.Equal(t, postdate.Secret(key.Reveal()), created.Secrets[0].Secret)
	require.Contains(t, w.Body.String(), key.Public().String())
	require.NotContains(t, w.Body.String(), "whsk_")
	require.Equal(t, http.StatusCreated, d.post("/v1/endpoints", with(createV1a, seed)).Code)
	d.post("/v1/endpoints", with(createV1a, secretOf(32))).refused(http.StatusUnprocessableEntity, "/secret")
	d.post("/v1/endpoints", with(createV1, key.Reveal())).refused(http.StatusUnprocessableEntity, "/secret")
	d.post("/v1/signing_secret/rotate", `{"secret":"`+key.Reveal()+`"}`).refused(http.StatusUnprocessableEntity, "/secret")
}

func TestSecrets_AreRefusedWhereTheyAreNone(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for _, secret := range []string{
		"", "s3cret", "whsec_", "whsec_s3cret", secretOf(23), secretOf(65), strings.TrimPrefix(secretOf(32), "whsec_"), "v1," + secretOf(32),
		"WHSEC_" + secretOf(32)[6:], secretOf(32) + " ", strings.TrimRight(secretOf(32), "="), "whsec_" + strings.Repeat("-_", 16), "whsec_" + strings.Repeat("A", 200),
	} {
		for path, form := range map[string]string{
			"/v1/endpoints": createV1, "/v1/endpoints/ep_1/rotate_secret": `{"secret":%q}`, "/v1/signing_secret/rotate": `{"secret":%q}`,
		} {
			p := d.post(path, with(form, secret)).refused(http.StatusUnprocessableEntity, "/secret")
			require.NotContains(t, p.Detail, "s3cret", "it is not repeated")
		}
	}
}

// One is made where none is brought.
func TestSecrets_AreMadeWhereNoneIsBrought(t *testing.T) {
	t.Parallel()
	d := newDoor(t)
	for path, body := range map[string]string{"/v1/endpoints/ep_1/rotate_secret": "", "/v1/signing_secret/rotate": "{}"} {
		rotation, ok := d.post(path, body).is(http.StatusOK).(protocol.RotateSecret)
		require.True(t, ok)
		_, err := signature.ParseSecret(rotation.Secret.Reveal())
		require.NoError(t, err)
		require.Equal(t, postdate.DefaultOverlap, rotation.Overlap.Duration())
	}
}
