package signature

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

const (
	signingPrefix = "whsk_"
	verifyPrefix  = "whpk_"
	keyVersion    = "v1a" // ed25519
)

// ErrKey is wrapped by every reason that a text is not an ed25519 key.
var ErrKey = errors.New("not an ed25519 key")

// SigningKey is what only the sender knows: receivers verify by its public
// half, [SigningKey.Public], and cannot sign with that. Its zero value is no
// key: it signs nothing.
//
// However it is printed, logged or marshalled, it does not show; only
// [SigningKey.Reveal] returns it.
type SigningKey struct {
	key *string // seed and public half, hidden as Secret's is
}

// NewSigningKey makes a random key.
func NewSigningKey() SigningKey {
	seed := make([]byte, ed25519.SeedSize)
	_, _ = rand.Read(seed) // it never fails: without randomness it ends the program
	return signingKeyOf(seed)
}

func signingKeyOf(seed []byte) SigningKey {
	text := string(ed25519.NewKeyFromSeed(seed))
	return SigningKey{&text}
}

// ParseSigningKey reads the form that the specification gives to secret keys:
// "whsk_" and base64, of the 32 bytes of the seed with the 32 of the public half
// behind them, or of the seed alone. Its errors wrap [ErrKey] and show nothing
// of text.
func ParseSigningKey(text string) (SigningKey, error) {
	raw, err := decodeKey(text, signingPrefix)
	if err != nil {
		return SigningKey{}, err
	}
	if len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
		return SigningKey{}, fmt.Errorf("%w: it holds %d bytes; a secret key has %d", ErrKey, len(raw), ed25519.PrivateKeySize)
	}
	key := signingKeyOf(raw[:ed25519.SeedSize])
	// Signing with a public half of somebody's choice would give the seed away.
	if len(raw) == ed25519.PrivateKeySize && *key.key != string(raw) {
		return SigningKey{}, fmt.Errorf("%w: its halves do not belong together", ErrKey)
	}
	return key, nil
}

func decodeKey(text, prefix string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(text, prefix)
	if !ok {
		return nil, fmt.Errorf("%w: it does not begin with %q", ErrKey, prefix)
	}
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: what follows %q is not base64 with padding", ErrKey, prefix)
	}
	return raw, nil
}

// Reveal is the key in the form that [ParseSigningKey] reads, for those who
// may know it. Of the zero value it is "".
func (k SigningKey) Reveal() string {
	if k.IsZero() {
		return ""
	}
	return signingPrefix + base64.StdEncoding.EncodeToString(k.private())
}

// Public is what receivers verify with. Of the zero value it is the zero value.
func (k SigningKey) Public() VerifyKey {
	if k.IsZero() {
		return VerifyKey{}
	}
	return VerifyKey{string(k.private()[ed25519.SeedSize:])}
}

// IsZero reports whether k is the zero value.
func (k SigningKey) IsZero() bool { return k.key == nil }

// String does not show the key.
func (k SigningKey) String() string { return signingPrefix + redacted }

// Format does not show the key, whatever the verb.
func (k SigningKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(k.String())) }

// LogValue does not show the key.
func (k SigningKey) LogValue() slog.Value { return slog.StringValue(k.String()) }

// MarshalText refuses with [ErrHidden], as that of [Secret] does.
func (k SigningKey) MarshalText() ([]byte, error) { return nil, ErrHidden }

func (k SigningKey) version() string { return keyVersion }

func (k SigningKey) sign(to []byte, c content) []byte {
	return base64.StdEncoding.AppendEncode(to, ed25519.Sign(k.private(), c.whole()))
}

// private is the key of k, which must not be the zero value.
func (k SigningKey) private() ed25519.PrivateKey { return ed25519.PrivateKey(*k.key) }

// VerifyKey is the public half of a [SigningKey]. Anybody may know it: it prints
// as it is, and can be compared with ==. Its zero value verifies nothing.
type VerifyKey struct {
	key string
}

// ParseVerifyKey reads the form that the specification gives to public keys:
// "whpk_" and the base64 of 32 bytes. Its errors wrap [ErrKey].
func ParseVerifyKey(text string) (VerifyKey, error) {
	raw, err := decodeKey(text, verifyPrefix)
	if err != nil {
		return VerifyKey{}, err
	}
	if len(raw) != ed25519.PublicKeySize {
		return VerifyKey{}, fmt.Errorf("%w: it holds %d bytes; a public key has %d", ErrKey, len(raw), ed25519.PublicKeySize)
	}
	return VerifyKey{string(raw)}, nil
}

// String is the key in the form that [ParseVerifyKey] reads. Of the zero value
// it is "".
func (k VerifyKey) String() string {
	if k.IsZero() {
		return ""
	}
	return verifyPrefix + base64.StdEncoding.EncodeToString([]byte(k.key))
}

// IsZero reports whether k is the zero value.
func (k VerifyKey) IsZero() bool { return k == VerifyKey{} }

func (k VerifyKey) version() string { return keyVersion }

// verifies takes the one encoding of a signature that is sent, no other of the
// same bytes.
func (k VerifyKey) verifies(signatures []string, c content) bool {
	whole := c.whole()
	return slices.ContainsFunc(signatures, func(signature string) bool {
		raw, err := base64.StdEncoding.Strict().DecodeString(signature)
		return err == nil && len(signature) == keySignatureSize && ed25519.Verify(ed25519.PublicKey(k.key), whole, raw)
	})
}

// keySignatureSize is the length of a signature in base64.
var keySignatureSize = base64.StdEncoding.EncodedLen(ed25519.SignatureSize)
