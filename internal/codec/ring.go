package codec

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"
)

// keySize is the length of a key: 32 bytes, for AES-256.
const keySize = 32

var keyIDPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,32}$`)

// Ring is the keys that payloads are encrypted with: the first encrypts, all
// decrypt. It is made by [ParseRing], never changes, and never shows its keys:
// however it is printed, logged or marshalled, it tells their ids alone.
//
// To rotate, add the new key at the end everywhere, then move it to the front
// everywhere, and remove the old one only once nothing that it encrypted is
// kept any more: schedules can sleep for years.
type Ring struct {
	keys []*key // never empty
}

// ParseRing reads keys as POSTDATE_ENCRYPTION_KEYS holds them: one or more
// id:key, with commas between, white space around them ignored. An id is 1 to
// 32 of A-Z a-z 0-9 _ -, each its own; a key is 32 bytes in standard base64,
// padded. Errors name the place of what is wrong and repeat nothing of it, for
// it may be a key.
func ParseRing(text string) (*Ring, error) {
	if strings.TrimSpace(text) == "" {
		return nil, errors.New("no encryption key: write id:key, the key 32 bytes in base64")
	}
	ring := &Ring{}
	for i, entry := range strings.Split(text, ",") {
		id, encoded, found := strings.Cut(strings.TrimSpace(entry), ":")
		if !found || !keyIDPattern.MatchString(id) {
			return nil, fmt.Errorf("encryption key %d: write id:key, the id 1 to 32 of A-Z a-z 0-9 _ -", i+1)
		}
		if ring.find(id) != nil {
			return nil, fmt.Errorf("encryption key %d: its id is an earlier key's too", i+1)
		}
		secret, err := base64.StdEncoding.Strict().DecodeString(encoded)
		if err != nil || len(secret) != keySize {
			return nil, fmt.Errorf("encryption key %d: after the id, write 32 bytes in base64", i+1)
		}
		k, err := newKey(id, secret)
		if err != nil {
			return nil, fmt.Errorf("encryption key %d: %w", i+1, err)
		}
		ring.keys = append(ring.keys, k)
	}
	return ring, nil
}

// Generate makes the text of a ring of one new random key, to be kept secret.
func Generate() string {
	secret := make([]byte, keySize)
	_, _ = rand.Read(secret) // never fails
	return "k" + strings.ToLower(rand.Text()[:8]) + ":" + base64.StdEncoding.EncodeToString(secret)
}

// first is the key that encrypts.
func (r *Ring) first() *key { return r.keys[0] }

// find is the key of that id, or nil. Rings are short: a map would be slower.
func (r *Ring) find(id string) *key {
	for _, k := range r.keys {
		if k.id == id {
			return k
		}
	}
	return nil
}

// IDs are the ids of the keys, the one that encrypts first.
func (r *Ring) IDs() []string {
	ids := make([]string, len(r.keys))
	for i, k := range r.keys {
		ids[i] = k.id
	}
	return ids
}

// String tells the ids of the keys, the one that encrypts first.
func (r *Ring) String() string {
	if r == nil {
		return "codec.Ring(none)"
	}
	return "codec.Ring(" + strings.Join(r.IDs(), ", ") + ")"
}

// Format prints r as [Ring.String] does, whatever the verb.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, r.String()) }

// LogValue logs r as [Ring.String] does.
func (r *Ring) LogValue() slog.Value { return slog.StringValue(r.String()) }

// MarshalText writes r as [Ring.String] does: it cannot be read back.
func (r *Ring) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
