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
		secrets []signature.Secret
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
		"another secret":            {func(a *attempt) { a.secrets = []signature.Secret{signature.NewSecret()} }, signature.ErrMismatch},
		"the right one among many":  {func(a *attempt) { a.secrets = append([]signature.Secret{signature.NewSecret(), {}}, a.secrets...) }, nil},
		"no secret":                 {func(a *attempt) { a.secrets = nil }, signature.ErrNoSecret},
		"a zero secret":             {func(a *attempt) { a.secrets = []signature.Secret{{}} }, signature.ErrNoSecret},
		"only a later version":      {func(a *attempt) { a.header.Set("Webhook-Signature", "v1a,"+right[3:]+" v2,x") }, signature.ErrNoSignature},
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
			a := attempt{header(id, sent, right), body, now, []signature.Secret{secret}}
			c.change(&a)
			err := signature.Verify(a.header, []byte(a.body), a.now, 0, a.secrets...)
			if c.want == nil {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.NotContains(t, err.Error(), right[3:], "what would have been right must not be told")
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

// A secret in rotation: the sender signs with both, each receiver knows one.
func TestVerify_HoldsThroughARotation(t *testing.T) {
	t.Parallel()
	before, after, at := signature.NewSecret(), signature.NewSecret(), time.Unix(sent, 0)
	body := []byte(`{}`)
	h := header("evt_1", sent, signature.Sign("evt_1", at, body, after, before))
	require.NoError(t, signature.Verify(h, body, at, 0, before))
	require.NoError(t, signature.Verify(h, body, at, 0, after))
	require.NoError(t, signature.Verify(h, body, at, 0, before, after))
}
