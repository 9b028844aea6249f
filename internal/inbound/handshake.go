package inbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"time"

	"github.com/postdate/postdate"
)

// Answer is the answer to a handshake.
type Answer struct {
	Status      int
	ContentType string
	Body        string
	Header      http.Header
	// Learned is the secret that its sender has made: the answer is right once it is kept.
	Learned postdate.Secret
}

// handshake answers a request that its sender makes before it sends: nil where it is none.
// Its error is a [RejectionError].
type handshake func(v postdate.Verification, r *Request, now time.Time) (*Answer, error)

// handshakes are those of the presets whose senders ask for one.
var handshakes = map[string]handshake{
	"slack": slackHandshake, "discord": discordHandshake, "meta": metaHandshake, "microsoft_graph": graphHandshake,
	"zoom": zoomHandshake, "twitter": twitterHandshake, "asana": asanaHandshake,
}

// maxEcho bounds what is echoed.
const maxEcho = 2048

// Handshake answers a request to a source that carries no message. It is nil of any other.
//
// Nothing is signed for who has not shown to have a secret: what is signed of a text that a
// stranger chose might be the signature of a message.
func Handshake(s postdate.Source, r *Request, now time.Time) (*Answer, error) {
	switch r.Method {
	case http.MethodHead:
		return &Answer{Status: http.StatusOK}, nil
	case http.MethodOptions:
		return options(s, r), nil
	}
	shake := handshakes[s.Verify.Preset]
	if shake == nil {
		return nil, nil //nolint:nilnil // it is no handshake, and nothing is wrong with that
	}
	return shake(s.Verify, r, now)
}

// options answers OPTIONS, also as CloudEvents ask whether they may be sent (HTTP 1.1 Web
// Hooks for Event Delivery §4).
func options(s postdate.Source, r *Request) *Answer {
	a := &Answer{Status: http.StatusNoContent, Header: http.Header{"Allow": {s.Allow()}}}
	if origin := r.Header.Get("WebHook-Request-Origin"); origin != "" && len(origin) <= maxEcho && isSendable(origin) {
		a.Status = http.StatusOK
		a.Header.Set("WebHook-Allowed-Origin", origin)
		a.Header.Set("WebHook-Allowed-Rate", "*")
	}
	return a
}

func text(body string) *Answer {
	return &Answer{Status: http.StatusOK, ContentType: "text/plain; charset=utf-8", Body: body}
}

func document(value any) *Answer {
	body, err := json.Marshal(value)
	if err != nil {
		panic(err) // strings and numbers can be encoded
	}
	return &Answer{Status: http.StatusOK, ContentType: "application/json", Body: string(body)}
}

// slackHandshake answers url_verification, which is signed as its events are.
func slackHandshake(v postdate.Verification, r *Request, now time.Time) (*Answer, error) {
	if kind, _ := find(r.Content, "/type"); kind != "url_verification" {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	if err := Verify(v, r, now); err != nil {
		return nil, err
	}
	challenge, ok := find(r.Content, "/challenge")
	if !ok || len(challenge) > maxEcho {
		return nil, reject(BadHandshake, "url_verification without a challenge")
	}
	return text(challenge), nil
}

// discordHandshake answers the pings of interactions (type 1) and of webhook events (type 0,
// of which type 1 is an event).
func discordHandshake(v postdate.Verification, r *Request, now time.Time) (*Answer, error) {
	kind, _ := find(r.Content, "/type")
	_, isEvent := find(r.Content, "/event/type")
	if kind != "0" && kind != "1" || isEvent {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	if err := Verify(v, r, now); err != nil {
		return nil, err
	}
	if kind == "0" {
		return &Answer{Status: http.StatusNoContent}, nil
	}
	return document(map[string]int{"type": 1}), nil
}

// metaHandshake echoes hub.challenge to who shows the token.
func metaHandshake(v postdate.Verification, r *Request, _ time.Time) (*Answer, error) {
	query, ok := r.query()
	if r.Method != http.MethodGet || !ok || query.Get("hub.mode") != "subscribe" {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	if v.Token == "" {
		return nil, reject(NoSecret, "this source has no token that hub.verify_token could be compared with")
	}
	if err := compare(query.Get("hub.verify_token"), true, []postdate.Secret{v.Token}, "hub.verify_token"); err != nil {
		return nil, reject(BadHandshake, "%s", err)
	}
	challenge := query.Get("hub.challenge")
	if challenge == "" || len(challenge) > maxEcho {
		return nil, reject(BadHandshake, "hub.challenge is missing")
	}
	return text(challenge), nil
}

// graphHandshake echoes validationToken, which nothing protects: the answer is plain text.
func graphHandshake(_ postdate.Verification, r *Request, _ time.Time) (*Answer, error) {
	query, ok := r.query()
	if !ok || !query.Has("validationToken") || len(r.Body) > 0 {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	token := query.Get("validationToken")
	if token == "" || len(token) > maxEcho {
		return nil, reject(BadHandshake, "validationToken is empty, or too long")
	}
	return text(token), nil
}

// zoomHandshake answers endpoint.url_validation, which is signed as its events are. Without
// that, whoever sends a text could have its signature.
func zoomHandshake(v postdate.Verification, r *Request, now time.Time) (*Answer, error) {
	if event, _ := find(r.Content, "/event"); event != "endpoint.url_validation" {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	if err := Verify(v, r, now); err != nil {
		return nil, err
	}
	token, ok := find(r.Content, "/payload/plainToken")
	if !ok || len(token) > maxEcho {
		return nil, reject(BadHandshake, "endpoint.url_validation without a plainToken")
	}
	return document(map[string]string{"plainToken": token, "encryptedToken": hex.EncodeToString(sign(v, token))}), nil
}

// crcToken is what is signed for a stranger: no JSON object has this form, and the preset
// takes nothing else. So no answer is the signature of a message.
var crcToken = regexp.MustCompile(`^[A-Za-z0-9+/=_-]{1,256}$`)

// twitterHandshake answers a challenge response check, which is not signed.
func twitterHandshake(v postdate.Verification, r *Request, _ time.Time) (*Answer, error) {
	query, ok := r.query()
	if r.Method != http.MethodGet || !ok || !query.Has("crc_token") {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	token := query.Get("crc_token")
	if !crcToken.MatchString(token) || len(v.Secrets) == 0 {
		return nil, reject(BadHandshake, "crc_token is not a token")
	}
	return document(map[string]string{"response_token": "sha256=" + base64.StdEncoding.EncodeToString(sign(v, token))}), nil
}

func sign(v postdate.Verification, text string) []byte {
	mac := hmac.New(sha256.New, []byte(v.Secrets[0].Reveal()))
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// asanaHandshake echoes the secret that Asana has made. The first one is kept; later ones
// are not those of this source.
func asanaHandshake(v postdate.Verification, r *Request, _ time.Time) (*Answer, error) {
	const name = "X-Hook-Secret"
	secret := r.Header.Get(name)
	if secret == "" {
		return nil, nil //nolint:nilnil // it is no handshake
	}
	a := &Answer{Status: http.StatusOK, Header: http.Header{name: {secret}}}
	switch {
	case len(secret) > maxEcho || !isSendable(secret):
		return nil, reject(BadHandshake, "%s is too long, or holds control characters", name)
	case len(v.Secrets) == 0:
		a.Learned = postdate.Secret(secret)
		return a, nil
	case compare(secret, true, v.Secrets, name) != nil:
		return nil, reject(BadHandshake, "%s is another than the one that this source has: make a source for each webhook of Asana's", name)
	}
	return a, nil
}
