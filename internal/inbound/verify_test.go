package inbound_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
)

var now = time.Unix(1_800_000_000, 0)

const (
	secret = "a secret"
	whsec  = "whsec_plJ3nmyCDGBKInavdOK15jsl"
)

func mac(h func() hash.Hash, key, text string) []byte {
	m := hmac.New(h, []byte(key))
	m.Write([]byte(text))
	return m.Sum(nil)
}

func hexMAC(text string) string { return hex.EncodeToString(mac(sha256.New, secret, text)) }
func b64MAC(text string) string {
	return base64.StdEncoding.EncodeToString(mac(sha256.New, secret, text))
}

var key = ed25519.NewKeyFromSeed([]byte("01234567890123456789012345678901"))

func publicKey() []byte { return key.Public().(ed25519.PublicKey) }

// request is a POST of a body with headers, given as names and values.
func request(body string, headers ...string) *inbound.Request {
	r := &inbound.Request{Method: http.MethodPost, Header: http.Header{}, Body: []byte(body), Content: []byte(body)}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// sender is a preset, as its sender signs.
type sender struct {
	preset, secret, body string
	// sign signs a body at a time.
	sign func(body string, at time.Time) *inbound.Request
	// timed: the signature has a time. uncovered: the body is not covered.
	timed, uncovered bool
	header           string // of the preset api_key
}

func unix(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func standard(prefix, version string) func(string, time.Time) *inbound.Request {
	return func(body string, at time.Time) *inbound.Request {
		content := "msg_1." + unix(at) + "." + body
		raw, _ := base64.StdEncoding.DecodeString(whsec[6:])
		signature := mac(sha256.New, string(raw), content)
		if version == "v1a" {
			signature = ed25519.Sign(key, []byte(content))
		}
		return request(body, prefix+"id", "msg_1", prefix+"timestamp", unix(at),
			prefix+"signature", "v1,bm9uZQ== "+version+","+base64.StdEncoding.EncodeToString(signature))
	}
}

var senders = map[string]sender{
	"Standard Webhooks":     {preset: "standard_webhooks", secret: whsec, timed: true, sign: standard("webhook-", "v1")},
	"Svix":                  {preset: "standard_webhooks", secret: whsec, timed: true, sign: standard("svix-", "v1")},
	"Standard Webhooks v1a": {preset: "standard_webhooks", secret: "whpk_" + base64.StdEncoding.EncodeToString(publicKey()), timed: true, sign: standard("webhook-", "v1a")},
	"GitHub": {preset: "github", sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Hub-Signature-256", "sha256="+hexMAC(body))
	}},
	"Stripe": {preset: "stripe", timed: true, sign: func(body string, at time.Time) *inbound.Request {
		return request(body, "Stripe-Signature", fmt.Sprintf("t=%s,v1=%064d,v1=%s,v0=00", unix(at), 0, hexMAC(unix(at)+"."+body)))
	}},
	"Slack": {preset: "slack", timed: true, sign: func(body string, at time.Time) *inbound.Request {
		return request(body, "X-Slack-Request-Timestamp", unix(at), "X-Slack-Signature", "v0="+hexMAC("v0:"+unix(at)+":"+body))
	}},
	"Shopify": {preset: "shopify", sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Shopify-Hmac-Sha256", b64MAC(body))
	}},
	"Twilio, a form": {preset: "twilio", body: "To=%2B1&From=x&From=a&Body=", sign: func(body string, _ time.Time) *inbound.Request {
		url := "https://hooks.example/in/pdi?x=1"
		signed := url + "Body" + "Froma" + "Fromx" + "To+1"
		if body != "To=%2B1&From=x&From=a&Body=" {
			signed = "another"
		}
		r := request(body, "Content-Type", "application/x-www-form-urlencoded; charset=utf-8",
			"X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, secret, signed)))
		r.URLs = inbound.URLs("hooks.example:8443", "/in/pdi?x=1")
		return r
	}},
	"Twilio, JSON": {preset: "twilio", sign: func(body string, _ time.Time) *inbound.Request {
		sum := sha256.Sum256([]byte(body))
		query := "bodySHA256=" + hex.EncodeToString(sum[:])
		r := request(body, "Content-Type", "application/json",
			"X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, secret, "https://hooks.example:443/in/pdi?"+query)))
		r.RawQuery, r.URLs = query, inbound.URLs("hooks.example", "/in/pdi?"+query)
		return r
	}},
	"Linear": {preset: "linear", timed: true, body: `{"webhookTimestamp":%d}`, sign: func(body string, at time.Time) *inbound.Request {
		body = fmt.Sprintf(body, at.UnixMilli())
		return request(body, "Linear-Signature", hexMAC(body))
	}},
	"Zendesk": {preset: "zendesk", timed: true, sign: func(body string, at time.Time) *inbound.Request {
		written := at.UTC().Format(time.RFC3339)
		return request(body, "X-Zendesk-Webhook-Signature-Timestamp", written, "X-Zendesk-Webhook-Signature", b64MAC(written+body))
	}},
	"GitLab": {preset: "gitlab", uncovered: true, sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Gitlab-Token", secret)
	}},
	"Discord": {preset: "discord", secret: hex.EncodeToString(publicKey()), timed: true, sign: func(body string, at time.Time) *inbound.Request {
		return request(body, "X-Signature-Timestamp", unix(at), "X-Signature-Ed25519", hex.EncodeToString(ed25519.Sign(key, []byte(unix(at)+body))))
	}},
	"Meta": {preset: "meta", sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Hub-Signature-256", "sha256="+hexMAC(body))
	}},
	"Microsoft Graph": {preset: "microsoft_graph", uncovered: true, body: `{"value":[{"clientState":"a secret"}]}`, sign: func(body string, _ time.Time) *inbound.Request {
		return request(body)
	}},
	"Zoom": {preset: "zoom", timed: true, sign: func(body string, at time.Time) *inbound.Request {
		return request(body, "X-Zm-Request-Timestamp", unix(at), "X-Zm-Signature", "v0="+hexMAC("v0:"+unix(at)+":"+body))
	}},
	"Twitter": {preset: "twitter", sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Twitter-Webhooks-Signature", "sha256="+b64MAC(body))
	}},
	"Asana": {preset: "asana", sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Hook-Signature", hexMAC(body))
	}},
	"basic": {preset: "basic", secret: "user:pass", uncovered: true, sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("user:pass")))
	}},
	"API key": {preset: "api_key", header: "X-Key", uncovered: true, sign: func(body string, _ time.Time) *inbound.Request {
		return request(body, "X-Key", secret)
	}},
}

func (s sender) verification(secrets ...string) postdate.Verification {
	v := postdate.Verification{Preset: s.preset, Header: s.header}
	for _, text := range secrets {
		v.Secrets = append(v.Secrets, postdate.Secret(text))
	}
	return v
}

func (s sender) text() string {
	if s.body == "" {
		return `{"id":"1","type":"thing.happened"}`
	}
	return s.body
}

// reason is why a request is rejected: empty where it is not.
func reason(t *testing.T, v postdate.Verification, r *inbound.Request) inbound.Reason {
	t.Helper()
	err := inbound.Verify(v, r, now)
	if err == nil {
		return ""
	}
	var rejection *inbound.RejectionError
	require.ErrorAs(t, err, &rejection)
	require.NotContains(t, rejection.Detail, secret)
	return rejection.Reason
}

func TestVerify_EveryPreset(t *testing.T) {
	t.Parallel()
	tested := map[string]bool{"none": true}
	for name, s := range senders {
		tested[s.preset] = true
		if s.secret == "" {
			s.secret = secret
		}
		other := map[string]string{
			"discord": hex.EncodeToString(make([]byte, 32)), "standard_webhooks": "whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 24)), "basic": "user:other",
		}[s.preset]
		if other == "" {
			other = "another secret"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, inbound.Check(postdate.Source{Verify: s.verification(s.secret)}))
			require.NoError(t, s.verification(s.secret).Validate())
			require.Empty(t, reason(t, s.verification(s.secret), s.sign(s.text(), now)))
			require.Empty(t, reason(t, s.verification(other, s.secret), s.sign(s.text(), now)), "in a rotation")
			require.Equal(t, inbound.BadSignature, reason(t, s.verification(other), s.sign(s.text(), now)))
			require.Equal(t, inbound.NoSecret, reason(t, s.verification(), s.sign(s.text(), now)))

			bare := s.sign(s.text(), now)
			for header := range bare.Header {
				if header != "Content-Type" {
					bare.Header.Del(header)
				}
			}
			if s.preset != "microsoft_graph" {
				require.Equal(t, inbound.NotSigned, reason(t, s.verification(s.secret), bare))
			}
			changed := s.sign(s.text(), now)
			changed.Body = append([]byte(" "), changed.Body...)
			changed.Content = changed.Body
			if s.uncovered {
				require.Empty(t, reason(t, s.verification(s.secret), changed))
			} else {
				require.Contains(t, []inbound.Reason{inbound.BadSignature, inbound.NotCovered}, reason(t, s.verification(s.secret), changed))
			}
			twice := s.sign(s.text(), now)
			for header, values := range twice.Header {
				twice.Header[header] = append(values, "x")
			}
			if s.preset != "microsoft_graph" && s.preset != "basic" {
				require.NotEmpty(t, reason(t, s.verification(s.secret), twice), "with each header twice")
			}
			if s.timed {
				require.Equal(t, inbound.TooOld, reason(t, s.verification(s.secret), s.sign(s.text(), now.Add(-time.Hour))))
				require.Equal(t, inbound.TooNew, reason(t, s.verification(s.secret), s.sign(s.text(), now.Add(time.Hour))))
				tolerant := s.verification(s.secret)
				tolerant.Tolerance = postdate.Duration(2 * time.Hour)
				require.Empty(t, reason(t, tolerant, s.sign(s.text(), now.Add(-time.Hour))))
			}
		})
	}
	for _, preset := range inbound.Presets() {
		require.True(t, tested[preset], preset)
	}
}

// The examples of their senders' own pages.
func TestVerify_PublishedExamples(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		preset, secret string
		at             int64
		request        *inbound.Request
	}{
		"GitHub": {"github", "It's a Secret to Everybody", 0, request("Hello, World!",
			"X-Hub-Signature-256", "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")},
		"Slack": {"slack", "8f742231b10e8888abcd99yyyzzz85a5", 1531420618, request(
			"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c",
			"X-Slack-Request-Timestamp", "1531420618", "X-Slack-Signature", "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503")},
	} {
		v := postdate.Verification{Preset: test.preset, Secrets: []postdate.Secret{postdate.Secret(test.secret)}}
		require.NoError(t, inbound.Verify(v, test.request, time.Unix(test.at, 0)), name)
	}
}

func TestVerify_ABodyThatASignedURLDoesNotCover(t *testing.T) {
	t.Parallel()
	s := senders["Twilio, a form"]
	forged := s.sign(s.text(), now)
	forged.Header.Set("Content-Type", "application/json")
	require.Equal(t, inbound.NotCovered, reason(t, s.verification(secret), forged), "the form is no form any more")

	empty := s.sign("", now)
	empty.Header.Set("X-Twilio-Signature", base64.StdEncoding.EncodeToString(mac(sha1.New, secret, "https://hooks.example/in/pdi?x=1")))
	require.Empty(t, reason(t, s.verification(secret), empty))
}

func TestVerify_ASchemeOfOnesOwn(t *testing.T) {
	t.Parallel()
	scheme := postdate.SignatureScheme{
		Algorithm: postdate.HMACSHA512, Header: "X-Sig", Prefix: "s1=", Encoding: postdate.Hex, Key: postdate.Hex,
		Signed: "<{id}|{timestamp}|{body}>", IDHeader: "X-Id", Timestamp: &postdate.TimestampRule{Header: "X-Time"},
	}
	v := postdate.Verification{Scheme: &scheme, Secrets: []postdate.Secret{"00ff"}}
	require.NoError(t, v.Validate())
	require.NoError(t, inbound.Check(postdate.Source{Verify: v}))
	content := "<7|" + unix(now) + "|{timestamp}>" // what a placeholder stands for is not looked into
	signature := hex.EncodeToString(mac(sha512.New, "\x00\xff", content))
	r := request("{timestamp}", "X-Id", "7", "X-Time", unix(now), "X-Sig", "s1="+signature)
	require.Empty(t, reason(t, v, r))
	r.Header.Set("X-Id", "8")
	require.Equal(t, inbound.BadSignature, reason(t, v, r))
	r.Header.Set("X-Sig", signature)
	require.Equal(t, inbound.Malformed, reason(t, v, r))

	bearer := postdate.Verification{
		Scheme:  &postdate.SignatureScheme{Algorithm: postdate.SharedToken, Header: "Authorization", Prefix: "Bearer "},
		Secrets: []postdate.Secret{"t"},
	}
	require.Empty(t, reason(t, bearer, request("", "Authorization", "bearer t")))
	require.Equal(t, inbound.NotSigned, reason(t, bearer, request("", "Authorization", "Basic t")))
}

func TestVerify_IDsThatCouldBeCutElsewhere(t *testing.T) {
	t.Parallel()
	s := senders["Standard Webhooks"]
	r := s.sign("{}", now)
	r.Header.Set("webhook-id", "msg_1."+unix(now))
	require.Equal(t, inbound.Malformed, reason(t, s.verification(whsec), r))
}
