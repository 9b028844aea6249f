package inbound_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
)

func get(query string) *inbound.Request {
	return &inbound.Request{Method: http.MethodGet, Header: http.Header{}, RawQuery: query}
}

func method(name string, headers ...string) *inbound.Request {
	r := request("", headers...)
	r.Method = name
	return r
}

func signedBy(preset, body string) *inbound.Request { return senders[preset].sign(body, now) }

func TestHandshake_OfEverySender(t *testing.T) {
	t.Parallel()
	meta := source("meta", func(s *postdate.Source) { s.Verify.Token = "token" })
	discord := source("discord", func(s *postdate.Source) {
		s.Verify.Secrets = []postdate.Secret{postdate.Secret(hex.EncodeToString(publicKey()))}
	})
	learner := source("asana", func(s *postdate.Source) { s.Verify.Secrets = nil })
	for name, test := range map[string]struct {
		source  postdate.Source
		request *inbound.Request
		status  int // 0: it is no handshake
		body    string
		reason  inbound.Reason
	}{
		"HEAD":                              {source("github"), method(http.MethodHead), 200, "", ""},
		"OPTIONS":                           {source("github"), method(http.MethodOptions), 204, "", ""},
		"CloudEvents":                       {source("none"), method(http.MethodOptions, "WebHook-Request-Origin", "e.example"), 200, "", ""},
		"Slack":                             {source("slack"), signedBy("Slack", `{"type":"url_verification","challenge":"abc"}`), 200, "abc", ""},
		"Slack, not signed":                 {source("slack"), request(`{"type":"url_verification","challenge":"abc"}`), 0, "", inbound.NotSigned},
		"Slack, without a challenge":        {source("slack"), signedBy("Slack", `{"type":"url_verification"}`), 0, "", inbound.BadHandshake},
		"Slack, an event":                   {source("slack"), signedBy("Slack", `{"type":"event_callback"}`), 0, "", ""},
		"Discord":                           {discord, signedBy("Discord", `{"type":1}`), 200, `{"type":1}`, ""},
		"Discord, of events":                {discord, signedBy("Discord", `{"version":1,"type":0}`), 204, "", ""},
		"Discord, an event":                 {discord, signedBy("Discord", `{"version":1,"type":1,"event":{"type":"X"}}`), 0, "", ""},
		"Discord, not signed":               {discord, request(`{"type":1}`), 0, "", inbound.NotSigned},
		"Meta":                              {meta, get("hub.mode=subscribe&hub.verify_token=token&hub.challenge=1158201444"), 200, "1158201444", ""},
		"Meta, of another token":            {meta, get("hub.mode=subscribe&hub.verify_token=other&hub.challenge=1"), 0, "", inbound.BadHandshake},
		"Meta, without a token":             {source("meta"), get("hub.mode=subscribe&hub.verify_token=&hub.challenge=1"), 0, "", inbound.NoSecret},
		"Microsoft Graph":                   {source("microsoft_graph"), get("validationToken=Validation%3A+a%26b"), 200, "Validation: a&b", ""},
		"Microsoft Graph, as it is":         {source("microsoft_graph"), func() *inbound.Request { r := get("validationToken=x"); r.Method = http.MethodPost; return r }(), 200, "x", ""},
		"Microsoft Graph, too long":         {source("microsoft_graph"), get("validationToken=" + strings.Repeat("x", 3000)), 0, "", inbound.BadHandshake},
		"Zoom":                              {source("zoom"), signedBy("Zoom", `{"event":"endpoint.url_validation","payload":{"plainToken":"p"}}`), 200, `{"encryptedToken":"` + hexMAC("p") + `","plainToken":"p"}`, ""},
		"Zoom, not signed":                  {source("zoom"), request(`{"event":"endpoint.url_validation","payload":{"plainToken":"v0:1800000000:{}"}}`), 0, "", inbound.NotSigned},
		"Twitter":                           {source("twitter"), get("crc_token=abc_-1%3D"), 200, `{"response_token":"sha256=` + b64MAC("abc_-1=") + `"}`, ""},
		"Twitter, the signature of a body":  {source("twitter"), get("crc_token=" + url.QueryEscape(`{"a":1}`)), 0, "", inbound.BadHandshake},
		"Asana":                             {learner, request("", "X-Hook-Secret", "made"), 200, "", ""},
		"Asana, again":                      {source("asana"), request("", "X-Hook-Secret", secret), 200, "", ""},
		"Asana, of another webhook":         {source("asana"), request("", "X-Hook-Secret", "made"), 0, "", inbound.BadHandshake},
		"a challenge to who asks for none":  {source("github"), get("hub.mode=subscribe&hub.challenge=1"), 0, "", ""},
		"a token to who asks for none":      {source("none"), get("validationToken=x"), 0, "", ""},
		"Asana's secret to who has another": {source("github"), request("", "X-Hook-Secret", "made"), 0, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answer, err := inbound.Handshake(test.source, test.request, now)
			if test.reason != "" {
				rejection, ok := errors.AsType[*inbound.RejectionError](err)
				require.True(t, ok, "%v", err)
				require.Equal(t, test.reason, rejection.Reason)
				return
			}
			require.NoError(t, err)
			if test.status == 0 {
				require.Nil(t, answer)
				return
			}
			require.Equal(t, test.status, answer.Status)
			require.Equal(t, test.body, answer.Body)
			require.NotContains(t, answer.ContentType, "html")
		})
	}
	learned, err := inbound.Handshake(learner, request("", "X-Hook-Secret", "made"), now)
	require.NoError(t, err)
	require.Equal(t, postdate.Secret("made"), learned.Learned)
	require.Equal(t, "made", learned.Header.Get("X-Hook-Secret"))
}

// What is signed for a stranger must not be taken for what its sender signed.
func TestHandshake_MakesNoSignatures(t *testing.T) {
	t.Parallel()
	answer, err := inbound.Handshake(source("twitter"), get("crc_token=1234"), now)
	require.NoError(t, err)
	require.Contains(t, answer.Body, base64.StdEncoding.EncodeToString(mac(sha256.New, secret, "1234")))
	forged := request("1234", "X-Twitter-Webhooks-Signature", "sha256="+b64MAC("1234"))
	require.Equal(t, inbound.Malformed, reason(t, source("twitter").Verify, forged))
}
