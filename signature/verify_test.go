package signature_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

const sent = 1893456000

func TestVerify_RefusesAndSaysWhatWasWrong(t *testing.T) {
	t.Parallel()
	secret, now := signature.NewSecret(), time.Unix(sent, 0)
	const id, body = "evt_1", `{"type":"x"}`
	right := signature.Sign(id, now, []byte(body), secret)

	type attempt struct {
		header  http.Header
		body    string
		now     time.Time
		secrets []signature.Verifier
	}
	for name, c := range map[string]struct {
		change func(*attempt)
		want   error
	}{
		"nothing is wrong":          {func(*attempt) {}, nil},
		"no id":                     {func(a *attempt) { a.header.Del("Webhook-Id") }, signature.ErrMissingHeader},
		"an empty id":               {func(a *attempt) { a.header.Set("Webhook-Id", "") }, signature.ErrMissingHeader},
		"no timestamp":              {func(a *attempt) { a.header.Del("Webhook-Timestamp") }, signature.ErrMissingHeader},
		"no signature":              {func(a *attempt) { a.header.Del("Webhook-Signature") }, signature.ErrMissingHeader},
		"an empty signature":        {func(a *attempt) { a.header.Set("Webhook-Signature", "") }, signature.ErrMissingHeader},
		"two ids":                   {func(a *attempt) { a.header.Add("Webhook-Id", "evt_2") }, signature.ErrMalformed},
		"two timestamps":            {func(a *attempt) { a.header.Add("Webhook-Timestamp", "1") }, signature.ErrMalformed},
		"a full stop in the id":     {func(a *attempt) { a.header.Set("Webhook-Id", "evt.1") }, signature.ErrMalformed},
		"a timestamp in words":      {func(a *attempt) { a.header.Set("Webhook-Timestamp", "today") }, signature.ErrMalformed},
		"a timestamp with a sign":   {func(a *attempt) { a.header.Set("Webhook-Timestamp", "+1893456000") }, signature.ErrMalformed},
		"a timestamp below zero":    {func(a *attempt) { a.header.Set("Webhook-Timestamp", "-1") }, signature.ErrMalformed},
		"a timestamp in fractions":  {func(a *attempt) { a.header.Set("Webhook-Timestamp", "1893456000.0") }, signature.ErrMalformed},
		"a timestamp past counting": {func(a *attempt) { a.header.Set("Webhook-Timestamp", strings.Repeat("9", 30)) }, signature.ErrMalformed},
		"a timestamp far ahead":     {func(a *attempt) { a.header.Set("Webhook-Timestamp", "4000000000000000000") }, signature.ErrTooNew},
		"a timestamp of long ago":   {func(a *attempt) { a.header.Set("Webhook-Timestamp", "0") }, signature.ErrTooOld},
		"a zero before the time":    {func(a *attempt) { a.header.Set("Webhook-Timestamp", "01893456000") }, signature.ErrMismatch},
		"late, just in time":        {func(a *attempt) { a.now = now.Add(5 * time.Minute) }, nil},
		"late":                      {func(a *attempt) { a.now = now.Add(5*time.Minute + 1) }, signature.ErrTooOld},
		"early, just in time":       {func(a *attempt) { a.now = now.Add(-5 * time.Minute) }, nil},
		"early":                     {func(a *attempt) { a.now = now.Add(-5*time.Minute - 1) }, signature.ErrTooNew},
		"another id":                {func(a *attempt) { a.header.Set("Webhook-Id", "evt_2") }, signature.ErrMismatch},
		"another time":              {func(a *attempt) { a.header.Set("Webhook-Timestamp", "1893456001") }, signature.ErrMismatch},
		"another body":              {func(a *attempt) { a.body += "\n" }, signature.ErrMismatch},
		"an empty body":             {func(a *attempt) { a.body = "" }, signature.ErrMismatch},
		"another secret":            {func(a *attempt) { a.secrets = []signature.Verifier{signature.NewSecret()} }, signature.ErrMismatch},
		"the right one among many": {func(a *attempt) {
			a.secrets = append([]signature.Verifier{signature.NewSecret(), signature.Secret{}}, a.secrets...)
		}, nil},
		"no secret":            {func(a *attempt) { a.secrets = nil }, signature.ErrNoSecret},
		"a zero secret":        {func(a *attempt) { a.secrets = []signature.Verifier{signature.Secret{}, signature.VerifyKey{}} }, signature.ErrNoSecret},
		"only a public key":    {func(a *attempt) { a.secrets = []signature.Verifier{signature.NewSigningKey().Public()} }, signature.ErrNoSignature},
		"only a later version": {func(a *attempt) { a.header.Set("Webhook-Signature", "v1a,"+right[3:]+" v2,x") }, signature.ErrNoSignature},
		"a later version, then ours": {func(a *attempt) {
			a.header.Set("Webhook-Signature", "v1a,hnO3f9T8Ytu9 v2, ,  "+right)
		}, nil},
		"a wrong one, then ours": {func(a *attempt) { a.header.Set("Webhook-Signature", "v1, v1,AAAA "+right) }, nil},
		"in a header of its own": {func(a *attempt) { a.header["Webhook-Signature"] = []string{"v1,AAAA", right} }, nil},
		"without its version":    {func(a *attempt) { a.header.Set("Webhook-Signature", right[3:]) }, signature.ErrNoSignature},
		"cut short":              {func(a *attempt) { a.header.Set("Webhook-Signature", right[:len(right)-1]) }, signature.ErrMismatch},
		"the same bytes, encoded otherwise": {func(a *attempt) {
			a.header.Set("Webhook-Signature", strings.TrimSuffix(right, "="))
		}, signature.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := attempt{header(id, sent, right), body, now, []signature.Verifier{secret}}
			c.change(&a)
			err := signature.Verify(a.header, []byte(a.body), a.now, 0, a.secrets...)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.NotContains(t, err.Error(), right[3:], "the right signature must not show")
		})
	}
}

func TestVerify_ToleratesWhatItIsTold(t *testing.T) {
	t.Parallel()
	secret, at := signature.NewSecret(), time.Unix(sent, 0)
	h := header("evt_1", sent, signature.Sign("evt_1", at, nil, secret))
	require.NoError(t, signature.Verify(h, nil, at.Add(time.Hour), time.Hour, secret))
	require.ErrorIs(t, signature.Verify(h, nil, at.Add(2*time.Second), time.Second, secret), signature.ErrTooOld)
	require.ErrorIs(t, signature.Verify(h, nil, at.Add(-2*time.Second), time.Second, secret), signature.ErrTooNew)
}

// A secret in rotation, to one of another kind: the sender signs with all, each
// receiver knows one.
func TestVerify_HoldsThroughARotation(t *testing.T) {
	t.Parallel()
	before, after, at := signature.NewSecret(), signature.NewSecret(), time.Unix(sent, 0)
	last := signature.NewSigningKey()
	body := []byte(`{}`)
	h := header("evt_1", sent, signature.Sign("evt_1", at, body, last, after, before))
	require.Regexp(t, "^v1a,[^ ]{88} v1,[^ ]{44} v1,[^ ]{44}$", h.Get("Webhook-Signature"))
	require.NoError(t, signature.Verify(h, body, at, 0, before))
	require.NoError(t, signature.Verify(h, body, at, 0, after))
	require.NoError(t, signature.Verify(h, body, at, 0, last.Public()))
	require.NoError(t, signature.Verify(h, body, at, 0, before, after))
	require.NoError(t, signature.Verify(h, body, at, 0, signature.NewSigningKey().Public(), before))
	require.ErrorIs(t, signature.Verify(h, body, at, 0, signature.NewSecret(), signature.NewSigningKey().Public()), signature.ErrMismatch)
}

func TestVerify_RefusesWhatAPublicKeyDoesNotBelongTo(t *testing.T) {
	t.Parallel()
	key, at, body := signature.NewSigningKey(), time.Unix(sent, 0), []byte(`{}`)
	right := signature.Sign("evt_1", at, body, key)
	require.NoError(t, signature.Verify(header("evt_1", sent, "v1a, v1a,AAAA "+right), body, at, 0, key.Public()))

	for name, c := range map[string]struct {
		id, signatures, body string
		want                 error
	}{
		"another id":                        {"evt_2", right, "{}", signature.ErrMismatch},
		"another body":                      {"evt_1", right, "{} ", signature.ErrMismatch},
		"another key":                       {"evt_1", signature.Sign("evt_1", at, body, signature.NewSigningKey()), "{}", signature.ErrMismatch},
		"another version":                   {"evt_1", "v1," + strings.TrimPrefix(right, "v1a,"), "{}", signature.ErrNoSignature},
		"cut short":                         {"evt_1", right[:len(right)-4], "{}", signature.ErrMismatch},
		"the same bytes, encoded otherwise": {"evt_1", strings.TrimRight(right, "="), "{}", signature.ErrMismatch},
		"broken into lines":                 {"evt_1", right[:20] + "\n" + right[20:], "{}", signature.ErrMismatch},
		"behind too many others":            {"evt_1", strings.Repeat("v1a,AAAA ", 16) + right, "{}", signature.ErrMismatch},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := signature.Verify(header(c.id, sent, c.signatures), []byte(c.body), at, 0, key.Public())
			require.ErrorIs(t, err, c.want)
		})
	}
}

func TestParseVerifier_TellsSecretsFromKeysByTheirPrefix(t *testing.T) {
	t.Parallel()
	secret, key := signature.NewSecret(), signature.NewSigningKey()
	h := header("evt_1", sent, signature.Sign("evt_1", time.Unix(sent, 0), nil, secret, key))
	for _, text := range []string{secret.Reveal(), key.Public().String()} {
		one, err := signature.ParseVerifier(text)
		require.NoError(t, err)
		require.NoError(t, signature.Verify(h, nil, time.Unix(sent, 0), 0, one))
	}
	for text, want := range map[string]error{
		"": signature.ErrSecret, "whsec_": signature.ErrSecret, "whpk_": signature.ErrKey, key.Reveal(): signature.ErrSecret,
	} {
		_, err := signature.ParseVerifier(text)
		require.ErrorIs(t, err, want)
	}
}
