package inbound

import (
	"cmp"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // some senders sign by it: as an HMAC it holds
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"hash"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/postdate/postdate"
)

const (
	// defaultTolerance is how far the time of a signature may be from now.
	defaultTolerance = 5 * time.Minute
	// maxSignatures is how many signatures of one request are looked at.
	maxSignatures = 16
)

// Verify reports why a request is not from who has one of the source's secrets: its error
// is a [RejectionError]. Secrets are compared in constant time.
func Verify(v postdate.Verification, r *Request, now time.Time) error {
	schemes, err := schemesOf(v)
	if err != nil {
		return reject(NoSecret, "%s", err)
	}
	var rejection error
	for _, scheme := range schemes {
		err := verify(scheme, v, r, now)
		if err == nil {
			return verifyForm(v, r)
		}
		// What says most is said: that a signature is wrong, rather than that another is missing.
		if rejection == nil || rank(err) > rank(rejection) {
			rejection = err
		}
	}
	return rejection
}

// rank is how much a rejection says.
func rank(err error) int {
	rejected, ok := errors.AsType[*RejectionError](err)
	switch {
	case !ok:
		return 3
	case rejected.Reason == NotSigned:
		return 0
	case rejected.Reason == Malformed:
		return 1
	default:
		return 2
	}
}

// verifyForm refuses what a preset's sender never sends.
func verifyForm(v postdate.Verification, r *Request) error {
	if presets[v.Preset].jsonOnly && !strings.HasPrefix(strings.TrimSpace(string(r.Content[:min(len(r.Content), 64)])), "{") {
		return reject(Malformed, "the body is no JSON object")
	}
	return nil
}

func verify(s postdate.SignatureScheme, v postdate.Verification, r *Request, now time.Time) error {
	switch s.Algorithm {
	case postdate.NoVerification:
		return nil
	case postdate.SharedToken:
		given, ok := r.value(postdate.Locator{Header: s.Header, Pointer: s.Pointer})
		if prefix := s.Prefix; len(given) >= len(prefix) && strings.EqualFold(given[:len(prefix)], prefix) { // as of "Bearer "
			given = given[len(prefix):]
		} else {
			ok = false
		}
		return compare(given, ok, v.Secrets, cmp.Or(s.Header, s.Pointer))
	case postdate.BasicAuth:
		given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Basic ")
		credentials, err := base64.StdEncoding.DecodeString(given)
		return compare(string(credentials), ok && err == nil, v.Secrets, "Authorization")
	default:
		return verifySignature(s, v, r, now)
	}
}

// verifySignature looks for a signature that is right, by any of the secrets.
func verifySignature(s postdate.SignatureScheme, v postdate.Verification, r *Request, now time.Time) error {
	signed := signedRequest{scheme: s, request: r}
	if err := signed.read(v.Tolerance.Duration(), now); err != nil {
		return err
	}
	if len(v.Secrets) == 0 {
		return reject(NoSecret, "this source has no secret")
	}
	urls := []string{""}
	if strings.Contains(s.Signed, "{url}") {
		urls = r.URLs
	}
	for _, url := range urls {
		content := signed.content(url)
		for _, secret := range v.Secrets {
			if key, ok := keyOf(secret, s.Key); ok && signed.matches(key, content) {
				return nil
			}
		}
	}
	return reject(BadSignature, "no signature in %s is right", s.Header)
}

// compare compares a text with secrets. How long they are is no secret, being hashed.
func compare(given string, there bool, secrets []postdate.Secret, where string) error {
	if len(secrets) == 0 {
		return reject(NoSecret, "this source has no secret")
	}
	if !there {
		return reject(NotSigned, "%s is missing", where)
	}
	sum, equal := sha256.Sum256([]byte(given)), 0
	for _, secret := range secrets {
		known := sha256.Sum256([]byte(secret.Reveal()))
		equal |= subtle.ConstantTimeCompare(sum[:], known[:])
	}
	if equal != 1 {
		return reject(BadSignature, "%s is another than the source's", where)
	}
	return nil
}

// keyOf is the key that a secret stands for. ok is false where it is none of that form.
func keyOf(secret postdate.Secret, form postdate.Encoding) (key []byte, ok bool) {
	text := secret.Reveal()
	var err error
	switch form {
	case postdate.Hex:
		key, err = hex.DecodeString(text)
	case postdate.Base64:
		key, err = base64.StdEncoding.DecodeString(text)
	case postdate.WebhookKey:
		encoded, prefixed := strings.CutPrefix(text, "whpk_")
		if !prefixed {
			return nil, false
		}
		key, err = base64.StdEncoding.DecodeString(encoded)
	case postdate.WebhookSecret:
		if strings.HasPrefix(text, "whpk_") {
			return nil, false
		}
		key, err = base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	default:
		key = []byte(text)
	}
	return key, err == nil && len(key) > 0
}

// signedRequest is a request with what its signature was cut into.
type signedRequest struct {
	scheme     postdate.SignatureScheme
	request    *Request
	signatures [][]byte
	timestamp  string
	form       string
}

// read reads the signatures and their time.
func (s *signedRequest) read(tolerance time.Duration, now time.Time) error {
	items, err := s.items()
	if err != nil {
		return err
	}
	for _, item := range items {
		text, ok := strings.CutPrefix(item, s.scheme.Prefix)
		if !ok || len(s.signatures) == maxSignatures {
			continue
		}
		if signature, err := decode(text, s.scheme.Encoding); err == nil && len(signature) > 0 {
			s.signatures = append(s.signatures, signature)
		}
	}
	if len(s.signatures) == 0 {
		return reject(Malformed, "%s holds no signature that can be read", s.scheme.Header)
	}
	if s.scheme.IDHeader != "" && strings.Contains(s.scheme.Signed, "{id}") {
		id := s.request.Header.Values(s.scheme.IDHeader)
		if len(id) != 1 || id[0] == "" {
			return reject(NotSigned, "%s is missing", s.scheme.IDHeader)
		}
		// A full stop would let id and time be cut elsewhere than where they were signed.
		if strings.Contains(s.scheme.Signed, "{id}.") && strings.Contains(id[0], ".") {
			return reject(Malformed, "%s contains a full stop", s.scheme.IDHeader)
		}
	}
	if err := s.readTime(items, tolerance, now); err != nil {
		return err
	}
	return s.cover()
}

// items are the items of the signature's header.
func (s *signedRequest) items() ([]string, error) {
	values := s.request.Header.Values(s.scheme.Header)
	switch {
	case len(values) == 0 || values[0] == "":
		return nil, reject(NotSigned, "%s is missing", s.scheme.Header)
	case len(values) > 1:
		return nil, reject(Malformed, "%s is there %d times", s.scheme.Header, len(values))
	case s.scheme.Separator == "":
		return values, nil
	}
	items := strings.Split(values[0], s.scheme.Separator)
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items, nil
}

func decode(text string, encoding postdate.Encoding) ([]byte, error) {
	if encoding == postdate.Hex {
		return hex.DecodeString(text) //nolint:wrapcheck // that it fails is all that is asked
	}
	return base64.StdEncoding.Strict().DecodeString(text) //nolint:wrapcheck // that it fails is all that is asked
}

// readTime reads the time of the signature, and holds it to the tolerance.
func (s *signedRequest) readTime(items []string, tolerance time.Duration, now time.Time) error {
	rule := s.scheme.Timestamp
	if rule == nil {
		return nil
	}
	found := false
	if rule.Prefix == "" {
		s.timestamp, found = s.request.value(postdate.Locator{Header: rule.Header, Pointer: rule.Pointer})
	} else {
		for _, item := range items {
			if text, ok := strings.CutPrefix(item, rule.Prefix); ok && !found {
				s.timestamp, found = text, true
			}
		}
	}
	if !found {
		return reject(NotSigned, "the time of the signature is missing: %s", cmp.Or(rule.Header, rule.Pointer, rule.Prefix))
	}
	at, err := parseTime(s.timestamp, rule.Format)
	if err != nil {
		return reject(Malformed, "the time of the signature cannot be read")
	}
	tolerance = cmp.Or(tolerance, s.scheme.Tolerance.Duration(), defaultTolerance)
	switch age := now.Sub(at); {
	case age > tolerance:
		return reject(TooOld, "it was signed %s ago, where %s are allowed", age.Round(time.Second), tolerance)
	case age < -tolerance:
		return reject(TooNew, "it was signed %s ahead, where %s are allowed", age.Abs().Round(time.Second), tolerance)
	}
	return nil
}

func parseTime(text, format string) (time.Time, error) {
	if format == postdate.RFC3339 {
		return time.Parse(time.RFC3339, text) //nolint:wrapcheck // that it fails is all that is asked
	}
	n, err := strconv.ParseUint(text, 10, 53) // a sign would be refused
	if err != nil {
		return time.Time{}, err //nolint:wrapcheck // that it fails is all that is asked
	}
	if format == postdate.UnixMillis {
		return time.UnixMilli(int64(n)), nil
	}
	if n > 1<<40 {
		return time.Time{}, strconv.ErrRange // so far ahead that it could not be told how far
	}
	return time.Unix(int64(n), 0), nil
}

// cover refuses a body that the signature does not cover: where the URL and the form are
// signed, any other body must be covered by its hash in the URL.
func (s *signedRequest) cover() error {
	if !strings.Contains(s.scheme.Signed, "{form}") {
		return nil
	}
	if form, ok := s.request.form(); ok {
		var text strings.Builder
		for _, name := range slices.Sorted(maps.Keys(form)) {
			values := slices.Clone(form[name])
			slices.Sort(values)
			for _, value := range slices.Compact(values) {
				text.WriteString(name + value)
			}
		}
		s.form = text.String()
		return nil
	}
	if len(s.request.Body) == 0 {
		return nil
	}
	given, ok := s.request.value(postdate.Locator{Query: s.scheme.BodyHash})
	sum := sha256.Sum256(s.request.Body)
	if s.scheme.BodyHash == "" || !ok || subtle.ConstantTimeCompare([]byte(strings.ToLower(given)), []byte(hex.EncodeToString(sum[:]))) != 1 {
		return reject(NotCovered, "the signature does not cover the body: it is no form, and %q is not its hash", s.scheme.BodyHash)
	}
	return nil
}

// content is what is signed, in pieces: the template with what its placeholders stand for.
func (s *signedRequest) content(url string) [][]byte {
	template := cmp.Or(s.scheme.Signed, "{body}")
	var pieces [][]byte
	for template != "" {
		begin := strings.IndexByte(template, '{')
		end := strings.IndexByte(template, '}')
		if begin < 0 || end < begin {
			return append(pieces, []byte(template))
		}
		pieces = append(pieces, []byte(template[:begin]))
		switch template[begin : end+1] {
		case "{body}":
			pieces = append(pieces, s.request.Body)
		case "{timestamp}":
			pieces = append(pieces, []byte(s.timestamp))
		case "{id}":
			pieces = append(pieces, []byte(s.request.Header.Get(s.scheme.IDHeader)))
		case "{url}":
			pieces = append(pieces, []byte(url))
		case "{form}":
			pieces = append(pieces, []byte(s.form))
		default:
			pieces = append(pieces, []byte(template[begin:end+1]))
		}
		template = template[end+1:]
	}
	return pieces
}

// matches reports whether one of the signatures is that of the content by a key.
func (s *signedRequest) matches(key []byte, content [][]byte) bool {
	if s.scheme.Algorithm == postdate.Ed25519Signature {
		whole := slices.Concat(content...)
		return len(key) == ed25519.PublicKeySize && slices.ContainsFunc(s.signatures, func(signature []byte) bool {
			return ed25519.Verify(key, whole, signature)
		})
	}
	mac := hmac.New(hashOf(s.scheme.Algorithm), key)
	for _, piece := range content {
		mac.Write(piece)
	}
	sum := mac.Sum(nil)
	return slices.ContainsFunc(s.signatures, func(signature []byte) bool { return hmac.Equal(signature, sum) })
}

func hashOf(a postdate.Algorithm) func() hash.Hash {
	switch a {
	case postdate.HMACSHA1:
		return sha1.New
	case postdate.HMACSHA512:
		return sha512.New
	default:
		return sha256.New
	}
}
