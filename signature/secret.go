package signature

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

const (
	secretPrefix  = "whsec_"
	secretVersion = "v1" // HMAC-SHA256
	redacted      = "REDACTED"

	minSecret     = 24 // bytes, by the specification
	maxSecret     = 64
	newSecretSize = 32 // as many as the hash has: more would add nothing
)

var (
	// ErrSecret is wrapped by every reason that a text is not a secret.
	ErrSecret = errors.New("not a signing secret")
	// ErrHidden is what marshalling a [Secret] or a [SigningKey] answers.
	ErrHidden = errors.New("a secret is not written by accident: call Reveal")
)

// Secret is what sender and receiver share: 24 to 64 bytes that nobody else
// knows. Its zero value is no secret: it signs nothing and verifies nothing.
//
// However it is printed, logged or marshalled, it does not show; only
// [Secret.Reveal] returns it. Secrets are compared with [Secret.Equal].
type Secret struct {
	// The key stands behind a pointer to a string, for of an unexported field
	// in a struct around us fmt asks no method, and of all kinds of fields that
	// can hold a key this is one that it prints as an address, whatever the verb.
	key *string
}

// NewSecret makes a secret of 32 random bytes.
func NewSecret() Secret {
	key := make([]byte, newSecretSize)
	_, _ = rand.Read(key) // it never fails: without randomness it ends the program
	return secretOf(key)
}

func secretOf(key []byte) Secret {
	text := string(key)
	return Secret{&text}
}

// ParseSecret reads the form that the specification gives to secrets: "whsec_"
// and the base64 of 24 to 64 bytes. Its errors wrap [ErrSecret] and show
// nothing of text.
func ParseSecret(text string) (Secret, error) {
	encoded, ok := strings.CutPrefix(text, secretPrefix)
	if !ok {
		return Secret{}, fmt.Errorf("%w: it does not begin with %q", ErrSecret, secretPrefix)
	}
	key, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return Secret{}, fmt.Errorf("%w: what follows %q is not base64 with padding", ErrSecret, secretPrefix)
	}
	if len(key) < minSecret || len(key) > maxSecret {
		return Secret{}, fmt.Errorf("%w: it holds %d bytes; %d to %d are allowed", ErrSecret, len(key), minSecret, maxSecret)
	}
	return secretOf(key), nil
}

// Reveal is the secret in the form that [ParseSecret] reads, for those who
// may know it. Of the zero value it is "".
func (s Secret) Reveal() string {
	if s.IsZero() {
		return ""
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(s.bytes())
}

// IsZero reports whether s is the zero value.
func (s Secret) IsZero() bool { return s.key == nil }

// Equal reports in constant time whether s and other are the same secret.
func (s Secret) Equal(other Secret) bool {
	if s.IsZero() || other.IsZero() {
		return s.IsZero() && other.IsZero()
	}
	return subtle.ConstantTimeCompare(s.bytes(), other.bytes()) == 1
}

// String does not show the secret.
func (s Secret) String() string { return secretPrefix + redacted }

// Format does not show the secret, whatever the verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(secretPrefix + redacted)) }

// LogValue does not show the secret.
func (s Secret) LogValue() slog.Value { return slog.StringValue(secretPrefix + redacted) }

// MarshalText refuses with [ErrHidden]: what is kept as "REDACTED" would be
// lost, and what is kept whole may be kept where nobody meant it to be.
func (s Secret) MarshalText() ([]byte, error) { return nil, ErrHidden }

// UnmarshalText reads what [ParseSecret] reads, white space around it aside.
func (s *Secret) UnmarshalText(text []byte) error {
	parsed, err := ParseSecret(string(bytes.TrimSpace(text)))
	*s = parsed
	return err
}

func (s Secret) version() string { return secretVersion }

func (s Secret) sign(to []byte, c content) []byte {
	mac := hmac.New(sha256.New, s.bytes())
	mac.Write(c.head)
	mac.Write(c.body)
	var sum [sha256.Size]byte
	return base64.StdEncoding.AppendEncode(to, mac.Sum(sum[:0]))
}

// verifies compares encoded: several encodings decode to the same bytes, and
// only one was sent.
func (s Secret) verifies(signatures []string, c content) bool {
	expected := s.sign(nil, c)
	return slices.ContainsFunc(signatures, func(signature string) bool {
		return hmac.Equal([]byte(signature), expected)
	})
}

// bytes is the key of s, which must not be the zero value.
func (s Secret) bytes() []byte { return []byte(*s.key) }
