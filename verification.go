package postdate

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	maxSourceSecrets = 10
	maxSourceSecret  = 4 << 10
	// MaxTolerance is the longest that a signature's time may be from now.
	MaxTolerance = 24 * time.Hour
)

// Verification is how a source knows its sender. It is data: a preset by its name, or a
// scheme of the tenant's own.
type Verification struct {
	// Preset names a scheme that Postdate knows: see docs/inbound.md. Empty: Scheme is
	// the scheme.
	Preset string           `json:"preset,omitempty"`
	Scheme *SignatureScheme `json:"scheme,omitempty"`
	// Secrets are what sender and source share, or the sender's public keys. One that fits
	// is enough: several are there while they rotate.
	Secrets []Secret `json:"secrets,omitempty"`
	// Header is the header of the preset api_key, whose value is a secret.
	Header string `json:"header,omitempty"`
	// Token is what a sender shows when it asks for a handshake, as hub.verify_token of
	// Meta.
	Token Secret `json:"token,omitempty"`
	// URL is the source's as its sender knows it, where that signs the URL: without it the
	// one is taken by which the request came.
	URL string `json:"url,omitempty"`
	// Tolerance is how far the time of a signature may be from now. 0: the scheme's own.
	Tolerance Duration `json:"tolerance,omitempty"`
}

// Validate reports the first rule that v breaks. Whether the preset exists, and what it
// needs, is not known here.
func (v Verification) Validate() error {
	switch {
	case v.Preset == "" && v.Scheme == nil:
		return Errorf(Invalid, "/verify", `needs a preset or a scheme: to take whatever comes, say {"preset": "none"}`)
	case v.Preset != "" && v.Scheme != nil:
		return Errorf(Invalid, "/verify/scheme", "preset and scheme exclude each other")
	case len(v.Secrets) > maxSourceSecrets:
		return Errorf(Invalid, "/verify/secrets", "at most %d", maxSourceSecrets)
	case v.Header != "" && !headerPattern.MatchString(v.Header):
		return Errorf(Invalid, "/verify/header", "not the name of a header")
	case v.Tolerance < 0 || v.Tolerance.Duration() > MaxTolerance:
		return Errorf(Invalid, "/verify/tolerance", "more than 0 and at most %s", MaxTolerance)
	case len(v.Token) > maxSourceSecret:
		return Errorf(Invalid, "/verify/token", "at most %d bytes", maxSourceSecret)
	}
	for i, secret := range v.Secrets {
		if secret == "" || len(secret) > maxSourceSecret {
			return Errorf(Invalid, "/verify/secrets/"+strconv.Itoa(i), "1 to %d bytes", maxSourceSecret)
		}
	}
	if v.URL != "" {
		if u, err := url.Parse(v.URL); err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(v.URL) > maxURL {
			return Errorf(Invalid, "/verify/url", "an absolute url without a query, as the sender was given it")
		}
	}
	if v.Scheme != nil {
		return v.Scheme.Validate()
	}
	return nil
}

// Algorithm is how a signature is made.
type Algorithm string

// The algorithms.
const (
	HMACSHA256 Algorithm = "hmac_sha256"
	HMACSHA1   Algorithm = "hmac_sha1"
	HMACSHA512 Algorithm = "hmac_sha512"
	// Ed25519Signature verifies by the sender's public key.
	Ed25519Signature Algorithm = "ed25519"
	// SharedToken compares what the request carries with the secret itself.
	SharedToken Algorithm = "token"
	// BasicAuth compares the header Authorization with a user name and a password.
	BasicAuth Algorithm = "basic"
	// NoVerification takes whatever comes.
	NoVerification Algorithm = "none"
)

// Encoding is how a signature, or a key, is written.
type Encoding string

// The encodings.
const (
	Hex    Encoding = "hex"
	Base64 Encoding = "base64"
	// Text is a key's bytes as they are.
	Text Encoding = "text"
	// WebhookSecret is the key of Standard Webhooks: base64, behind "whsec_".
	WebhookSecret Encoding = "whsec"
	// WebhookKey is its public key: base64, behind "whpk_".
	WebhookKey Encoding = "whpk"
)

// SignatureScheme is how a sender signs.
type SignatureScheme struct {
	Algorithm Algorithm `json:"algorithm"`
	// Header is where the signature is, or Pointer, for a token in the body.
	Header  string `json:"header,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	// Separator splits the header into items: each that begins with Prefix is a signature.
	// Empty: the header is one item.
	Separator string   `json:"separator,omitempty"`
	Prefix    string   `json:"prefix,omitempty"`
	Encoding  Encoding `json:"encoding,omitempty"`
	// Key is how a secret is written. Empty: its bytes are the key.
	Key Encoding `json:"key,omitempty"`
	// Signed is what is signed: text in which {body}, {timestamp}, {id}, {url} and {form}
	// stand for those of the request. Empty: "{body}".
	Signed string `json:"signed,omitempty"`
	// IDHeader is the header that {id} stands for.
	IDHeader string `json:"id_header,omitempty"`
	// Timestamp is where the time of the signature is. Nil: it has none.
	Timestamp *TimestampRule `json:"timestamp,omitempty"`
	// BodyHash is the parameter of the query that holds the SHA-256 of the body in hex,
	// where the URL is signed and the body is no form.
	BodyHash string `json:"body_hash,omitempty"`
	// Tolerance is how far its time may be from now. 0: five minutes.
	Tolerance Duration `json:"tolerance,omitempty"`
}

// TimestampRule says where the time of a signature is: in a header, in an item of the
// signature's own header, or in the body.
type TimestampRule struct {
	Header string `json:"header,omitempty"`
	// Prefix begins the item of the signature's header.
	Prefix  string `json:"prefix,omitempty"`
	Pointer string `json:"pointer,omitempty"`
	// Format is unix (seconds), unix_ms or rfc3339. Empty: unix.
	Format string `json:"format,omitempty"`
}

// The formats of a time.
const (
	UnixSeconds = "unix"
	UnixMillis  = "unix_ms"
	RFC3339     = "rfc3339"
)

const maxTemplate = 200

var (
	placeholder  = regexp.MustCompile(`\{[a-z]*\}`)
	placeholders = map[string]bool{"{body}": true, "{timestamp}": true, "{id}": true, "{url}": true, "{form}": true}
)

// IsHMAC reports whether s is signed by a hash with a key.
func (s SignatureScheme) IsHMAC() bool {
	return s.Algorithm == HMACSHA256 || s.Algorithm == HMACSHA1 || s.Algorithm == HMACSHA512
}

// Validate reports the first rule that s breaks.
func (s SignatureScheme) Validate() error {
	const within = "/verify/scheme"
	switch {
	case s.Header != "" && !headerPattern.MatchString(s.Header):
		return Errorf(Invalid, within+"/header", "not the name of a header")
	case s.IDHeader != "" && !headerPattern.MatchString(s.IDHeader):
		return Errorf(Invalid, within+"/id_header", "not the name of a header")
	case s.Tolerance < 0 || s.Tolerance.Duration() > MaxTolerance:
		return Errorf(Invalid, within+"/tolerance", "more than 0 and at most %s", MaxTolerance)
	case s.Algorithm == SharedToken && (s.Header == "") == (s.Pointer == ""):
		return Errorf(Invalid, within+"/header", "a token is in a header or at a pointer")
	case s.Algorithm == SharedToken, s.Algorithm == BasicAuth, s.Algorithm == NoVerification:
		return nil
	case !s.IsHMAC() && s.Algorithm != Ed25519Signature:
		return Errorf(Invalid, within+"/algorithm", "%q, %q, %q, %q or %q", HMACSHA256, HMACSHA1, HMACSHA512, Ed25519Signature, SharedToken)
	case s.Header == "":
		return Errorf(Invalid, within+"/header", "is missing: where is the signature?")
	case s.Encoding != Hex && s.Encoding != Base64:
		return Errorf(Invalid, within+"/encoding", "%q or %q", Hex, Base64)
	}
	switch s.Key {
	case "", Text, Hex, Base64, WebhookSecret, WebhookKey:
	default:
		return Errorf(Invalid, within+"/key", "%q, %q, %q or %q", Text, Hex, Base64, WebhookSecret)
	}
	return s.validateSigned(within)
}

// validateSigned checks the template, and that the body is covered by it.
func (s SignatureScheme) validateSigned(within string) error {
	if len(s.Signed) > maxTemplate {
		return Errorf(Invalid, within+"/signed", "at most %d bytes", maxTemplate)
	}
	for _, name := range placeholder.FindAllString(s.Signed, -1) {
		switch {
		case !placeholders[name]:
			return Errorf(Invalid, within+"/signed", "%s is not known: {body}, {timestamp}, {id}, {url} and {form} are", name)
		case name == "{id}" && s.IDHeader == "":
			return Errorf(Invalid, within+"/id_header", "is missing: which header is {id}?")
		case name == "{timestamp}" && s.Timestamp == nil:
			return Errorf(Invalid, within+"/timestamp", "is missing: where is {timestamp}?")
		}
	}
	if s.Signed != "" && !strings.Contains(s.Signed, "{body}") && (!strings.Contains(s.Signed, "{url}") || !strings.Contains(s.Signed, "{form}")) {
		return Errorf(Invalid, within+"/signed", "does not hold {body}, so that anybody could send another one")
	}
	if s.Timestamp == nil {
		return nil
	}
	return s.Timestamp.validate(within + "/timestamp")
}

func (t TimestampRule) validate(within string) error {
	set := 0
	for _, field := range []string{t.Header, t.Prefix, t.Pointer} {
		if field != "" {
			set++
		}
	}
	switch {
	case set != 1:
		return Errorf(Invalid, within, "names one of header, prefix and pointer")
	case t.Header != "" && !headerPattern.MatchString(t.Header):
		return Errorf(Invalid, within+"/header", "not the name of a header")
	case t.Format != "" && t.Format != UnixSeconds && t.Format != UnixMillis && t.Format != RFC3339:
		return Errorf(Invalid, within+"/format", "%q, %q or %q", UnixSeconds, UnixMillis, RFC3339)
	}
	return nil
}
