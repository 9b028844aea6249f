package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	reference "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// seen is a request as it arrived.
type seen struct {
	*http.Request

	body string
}

// record is a handler that accepts everything and passes it on.
func record(arrived chan<- seen) http.HandlerFunc {
	return func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		arrived <- seen{r, string(body)}
	}
}

func TestSend_IsWhatStandardWebhooksSays(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	now := time.Now()
	older := signature.NewSecret()
	s := New(Config{
		AllowNetworks: loop,
		Secrets: func(_ context.Context, tenant string) ([]signature.Secret, error) {
			require.Equal(t, "acme", tenant)
			return []signature.Secret{secret, older}, nil
		},
		UserAgent: "Postdate/1.2.3",
		Now:       func() time.Time { return now },
	})
	require.Equal(t, postdate.Accepted, send(t, s, serve(t, record(arrived))).Outcome)
	got := <-arrived

	require.Equal(t, http.MethodPost, got.Method)
	require.Equal(t, path, got.RequestURI)
	want := `{"type":"payment_request.due","timestamp":"2027-01-01T09:00:00.123456789Z","data":{"payment_request":"pr_123"}}`
	require.Equal(t, want, got.body)
	require.EqualValues(t, len(got.body), got.ContentLength)
	require.NoError(t, signature.Verify(got.Header, []byte(got.body), now, time.Second, secret))
	require.NoError(t, signature.Verify(got.Header, []byte(got.body), now, time.Second, older))
	verifier, err := reference.NewWebhook(older.Reveal())
	require.NoError(t, err)
	require.NoError(t, verifier.Verify([]byte(got.body), got.Header))

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

func TestSend_StampsEachAttemptWithItsOwnTime(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 2)
	to := serve(t, record(arrived))
	now := fixed
	s := New(Config{AllowNetworks: loop, Secrets: secrets, Now: func() time.Time { return now }})
	send(t, s, to)
	now = now.Add(time.Hour)
	send(t, s, to)
	first, second := <-arrived, <-arrived
	require.Equal(t, "1798794000", first.Header.Get("Webhook-Timestamp"))
	require.Equal(t, "1798797600", second.Header.Get("Webhook-Timestamp"))
	require.Equal(t, first.body, second.body, "the message's own time stays")
	require.NotEqual(t, first.Header.Get("Webhook-Signature"), second.Header.Get("Webhook-Signature"))
}

func TestEncode_LeavesDataAsTheyAre(t *testing.T) {
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
		require.Equal(t, want, string(encode(m)), name)
	}
}

func TestEncode_WithoutDataSaysNull(t *testing.T) {
	t.Parallel()
	for _, data := range []json.RawMessage{nil, {}} {
		m := postdate.Message{Type: "a", Timestamp: fixed.In(time.FixedZone("x", 3600)).Truncate(time.Second), Data: data}
		want := `{"type":"a","timestamp":"2027-01-01T09:00:00Z","data":null}`
		require.Equal(t, want, string(encode(m)))
	}
}

func TestEncode_WritesAnyTypeAsItIs(t *testing.T) {
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
		body := encode(postdate.Message{Type: text, Timestamp: fixed})
		require.True(t, strings.HasPrefix(string(body), `{"type":`+want+`,"timestamp"`), string(body))
		var back struct {
			Type string `json:"type"`
		}
		require.NoError(t, json.Unmarshal(body, &back))
		require.Equal(t, text, back.Type)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("a.b", `{"a":"<&>"}`)
	f.Add("\"\\\u2028\x00\xff", ``)
	f.Fuzz(func(t *testing.T, kind, data string) {
		body := encode(postdate.Message{Type: kind, Timestamp: fixed, Data: json.RawMessage(data)})
		if json.Valid([]byte(data)) && !json.Valid(body) {
			t.Fatalf("not JSON any more: %s", body)
		}
		if data != "" && !strings.HasSuffix(string(body), `,"data":`+data+"}") {
			t.Fatalf("data changed: %s", body)
		}
	})
}

func TestSend_SaysItIsOurFaultThatNothingWasSent(t *testing.T) {
	t.Parallel()
	to := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("nothing may arrive") })
	lost := errors.New("no tenant of that name")
	for name, config := range map[string]Config{
		"no secrets configured": {},
		"no secret":             {Secrets: func(context.Context, string) ([]signature.Secret, error) { return nil, nil }},
		"only a zero secret": {Secrets: func(context.Context, string) ([]signature.Secret, error) {
			return []signature.Secret{{}}, nil
		}},
		"secrets cannot be read": {Secrets: func(context.Context, string) ([]signature.Secret, error) { return nil, lost }},
	} {
		config.AllowNetworks = loop
		a, err := New(config).Send(t.Context(), message, to)
		require.Error(t, err, name)
		require.Zero(t, a, name)
		if name == "secrets cannot be read" {
			require.ErrorIs(t, err, lost)
			require.ErrorContains(t, err, "acme")
		} else {
			require.ErrorIs(t, err, errNoSecret, name)
		}
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
