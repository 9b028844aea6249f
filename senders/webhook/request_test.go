package webhook

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	reference "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/http/httpguts"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// seen is a request as it arrived.
type seen struct {
	*http.Request

	body string
}

// again is the request with a body that can still be read.
func (s seen) again() *http.Request {
	r := s.Clone(context.Background())
	r.Body = io.NopCloser(strings.NewReader(s.body))
	return r
}

// record is a handler that accepts everything and passes it on.
func record(arrived chan<- seen) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- seen{r, string(body)}
	}
}

func TestSend_SaysThatItGoesToACanary(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	s, to := New(Config{Guard: loop}), serve(t, record(arrived))
	for _, mode := range []postdate.Mode{postdate.Standard, postdate.CloudEventsBinary} {
		to.Mode, to.Headers = mode, map[string]postdate.Secret{"postdate-canary": "forged", "postdate-mirror": "forged"}
		to.Canary, to.Mirror = "cn_1", true
		send(t, s, to)
		got := <-arrived
		require.Equal(t, []string{"cn_1"}, got.Header.Values("Postdate-Canary"))
		require.Equal(t, []string{"true"}, got.Header.Values("Postdate-Mirror"))
		to.Mirror, to.Headers = false, nil
		send(t, s, to)
		require.Empty(t, (<-arrived).Header.Values("Postdate-Mirror"))
		to.Canary = ""
		send(t, s, to)
		require.Empty(t, (<-arrived).Header.Values("Postdate-Canary"))
	}
}

func TestSend_IsWhatStandardWebhooksSays(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	now := time.Now()
	s := New(Config{Guard: loop, UserAgent: "Postdate/1.2.3", Now: func() time.Time { return now }})
	require.Equal(t, postdate.Accepted, send(t, s, serve(t, record(arrived))).Outcome)
	got := <-arrived

	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, path, got.RequestURI)
	want := `{"type":"payment_request.due","timestamp":"2027-01-01T09:00:00.123456789Z","data":{"payment_request":"pr_123"}}`
	require.Equal(t, want, got.body)
	require.EqualValues(t, len(got.body), got.ContentLength)
	require.NoError(t, signature.Verify(got.Header, []byte(got.body), now, time.Second, secret))

	names := make([]string, 0, len(got.Header))
	for name := range got.Header {
		names = append(names, name)
	}
	require.ElementsMatch(t, []string{
		"Content-Type", "Content-Length", "User-Agent", "Webhook-Id", "Webhook-Timestamp", "Webhook-Signature",
	}, names)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, "Postdate/1.2.3", got.Header.Get("User-Agent"))
	require.Equal(t, "pr_123-expiry", got.Header.Get("Webhook-Id"))
}

// An endpoint that changes from a secret to another, and on to a key.
func TestSend_SignsWithAllThatAReceiverMayKnow(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	now := time.Now() // the reference has no other clock
	older, key := signature.NewSecret(), signature.NewSigningKey()
	to := serve(t, record(arrived))
	to.Secrets = []postdate.Secret{postdate.Secret(key.Reveal()), secrets[0], postdate.Secret(older.Reveal())}
	send(t, New(Config{Guard: loop, Now: func() time.Time { return now }}), to)
	got := <-arrived

	require.Regexp(t, "^v1a,[^ ]{88} v1,[^ ]{44} v1,[^ ]{44}$", got.Header.Get("Webhook-Signature"))
	for _, verifier := range []signature.Verifier{secret, older, key.Public()} {
		require.NoError(t, signature.Verify(got.Header, []byte(got.body), now, time.Second, verifier))
	}
	verifier, err := reference.NewWebhook(older.Reveal())
	require.NoError(t, err)
	require.NoError(t, verifier.Verify([]byte(got.body), got.Header))
	require.True(t, verifiesV1a(t, key.Public().String(), got))
}

// verifiesV1a is what the specification says of v1a, with none of our code.
func verifiesV1a(t *testing.T, publicKey string, r seen) bool {
	t.Helper()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(publicKey, "whpk_"))
	require.NoError(t, err)
	signed := r.Header.Get("Webhook-Id") + "." + r.Header.Get("Webhook-Timestamp") + "." + r.body
	for one := range strings.FieldsSeq(r.Header.Get("Webhook-Signature")) {
		if encoded, ok := strings.CutPrefix(one, "v1a,"); ok {
			sum, err := base64.StdEncoding.DecodeString(encoded)
			require.NoError(t, err)
			return ed25519.Verify(key, []byte(signed), sum)
		}
	}
	return false
}

func TestSend_AddsTheHeadersOfTheEndpoint(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	to := serve(t, record(arrived))
	to.Headers = map[string]postdate.Secret{
		"x-team": "billing", "AUTHORIZATION": "Bearer t0ken", "X-Empty": "", "X-Name": "Zoë",
		"webhook-id": "of somebody else", "User-Agent": "curl", "content-type": "text/plain", "Traceparent": parent,
	}
	m := message
	m.TraceParent = parent
	ctx, cancel := context.WithTimeout(t.Context(), postdate.DefaultTimeout)
	defer cancel()
	for _, mode := range []postdate.Mode{postdate.Standard, postdate.CloudEventsStructured, postdate.CloudEventsBinary} {
		to.Mode = mode
		_, err := open().Send(ctx, m, to)
		require.NoError(t, err)
		got := (<-arrived).Header
		require.Equal(t, []string{"billing"}, got.Values("X-Team"))
		require.Equal(t, []string{"Bearer t0ken"}, got.Values("Authorization"))
		require.Equal(t, []string{""}, got.Values("X-Empty"))
		require.Equal(t, []string{"Zoë"}, got.Values("X-Name"))
		require.Equal(t, []string{m.ID}, got.Values("Webhook-Id"), "ours win")
		require.Equal(t, []string{"Postdate"}, got.Values("User-Agent"))
		require.Contains(t, got.Get("Content-Type"), "json")
		require.NotEqual(t, parent, got.Get("Traceparent"))
	}
	require.Len(t, to.Headers, 8, "what is passed stays as it was")
}

func TestSend_StampsEachAttemptWithItsOwnTime(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 2)
	to := serve(t, record(arrived))
	now := fixed
	s := New(Config{Guard: loop, Now: func() time.Time { return now }})
	send(t, s, to)
	now = now.Add(time.Hour)
	send(t, s, to)
	first, second := <-arrived, <-arrived
	require.Equal(t, "1798794000", first.Header.Get("Webhook-Timestamp"))
	require.Equal(t, "1798797600", second.Header.Get("Webhook-Timestamp"))
	require.Equal(t, first.body, second.body, "the message's own time stays")
	require.NotEqual(t, first.Header.Get("Webhook-Signature"), second.Header.Get("Webhook-Signature"))
}

func TestStandard_LeavesDataAsTheyAre(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"markup":        `{"a":"<&>"}`,
		"big numbers":   `[12345678901234567890123,1.0,1e999]`,
		"a key twice":   `{"a":1,"a":2}`,
		"white space":   " {\n}\t",
		"not even JSON": `{`,
	} {
		m := postdate.Message{Type: "a.b", Timestamp: fixed.Truncate(time.Second), Data: json.RawMessage(data)}
		want := `{"type":"a.b","timestamp":"2027-01-01T09:00:00Z","data":` + data + `}`
		require.Equal(t, want, string(standard(m)), name)
	}
}

func TestStandard_WithoutDataSaysNull(t *testing.T) {
	t.Parallel()
	for _, data := range []json.RawMessage{nil, {}} {
		m := postdate.Message{Type: "a", Timestamp: fixed.In(time.FixedZone("x", 3600)).Truncate(time.Second), Data: data}
		want := `{"type":"a","timestamp":"2027-01-01T09:00:00Z","data":null}`
		require.Equal(t, want, string(standard(m)))
	}
}

func TestStandard_WritesAnyTypeAsItIs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a.b":        `"a.b"`,
		"<a> & b":    `"<a> & b"`,
		`say "x" \o`: `"say \"x\" \\o"`,
		"überfällig": `"überfällig"`,
		"λήξη🦊":      `"λήξη🦊"`,
		"<ü> & b":    `"<ü> & b"`,
		"":           `""`,
	} {
		body := standard(postdate.Message{Type: text, Timestamp: fixed})
		require.True(t, strings.HasPrefix(string(body), `{"type":`+want+`,"timestamp"`), string(body))
		var back struct {
			Type string `json:"type"`
		}
		require.NoError(t, json.Unmarshal(body, &back))
		require.Equal(t, text, back.Type)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("a.b", "customer_42", `{"a":"<&>"}`)
	f.Add("\"\\\u2028\x00\xff", "\xff", ``)
	f.Fuzz(func(t *testing.T, kind, entity, data string) {
		m := postdate.Message{Type: kind, Entity: entity, Timestamp: fixed, Data: json.RawMessage(data)}
		for _, mode := range []postdate.Mode{postdate.Standard, postdate.CloudEventsStructured} {
			body, _ := encode(m, mode)
			if (data == "" || json.Valid([]byte(data))) && !json.Valid(body) {
				t.Fatalf("not JSON any more: %s", body)
			}
			if data != "" && !strings.HasSuffix(string(body), `,"data":`+data+"}") {
				t.Fatalf("data changed: %s", body)
			}
		}
		body, headers := encode(m, postdate.CloudEventsBinary)
		if string(body) != data {
			t.Fatalf("data changed: %s", body)
		}
		for name, values := range headers {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(values[0]) {
				t.Fatalf("not a header: %s: %q", name, values[0])
			}
		}
	})
}

func TestSend_SaysItIsOurFaultThatNothingWasSent(t *testing.T) {
	t.Parallel()
	to := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive") })
	s := open()
	for name, c := range map[string]struct {
		secrets []postdate.Secret
		want    error
	}{
		"no secret":             {nil, errNoSecret},
		"an empty secret":       {[]postdate.Secret{""}, signature.ErrSecret},
		"half a secret":         {[]postdate.Secret{secrets[0], "whsec_s3cret"}, signature.ErrSecret},
		"half a key":            {[]postdate.Secret{secrets[0], "whsk_s3cret"}, signature.ErrKey},
		"what receivers get":    {[]postdate.Secret{postdate.Secret(signature.NewSigningKey().Public().String())}, signature.ErrSecret},
		"a secret of elsewhere": {[]postdate.Secret{"sk_s3cret"}, signature.ErrSecret},
	} {
		to.Secrets = c.secrets
		a, err := s.Send(t.Context(), message, to)
		require.ErrorIs(t, err, c.want, name)
		require.NotContains(t, err.Error(), "s3cret", name)
		require.Zero(t, a, name)
	}
}

func TestSend_EndsWithAnErrorWhenWeShutDown(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	to := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := open().Send(ctx, message, to)
	require.ErrorIs(t, err, context.Canceled)
	require.NotContains(t, err.Error(), "s3cret")
}
