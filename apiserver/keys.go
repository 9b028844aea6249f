package apiserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"regexp"
	"time"

	"github.com/postdate/postdate"
)

// A key names its tenant, so that its hash is looked up in one place, and ends with a
// checksum, so that a text that is not a key is not looked up:
// pdk_{tenant}_{random}{checksum}.
var keyPattern = regexp.MustCompile(`^pdk_([A-Za-z0-9_-]{1,64})_[A-Z2-7]{33}$`)

// checksumOf is the CRC-32 (IEEE 802.3) of a key's text, in base32.
func checksumOf(text string) string {
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(
		binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(text))))
}

// isKey reports whether a text has the form of a tenant's key.
func isKey(text string) (tenant string, ok bool) {
	parts := keyPattern.FindStringSubmatch(text)
	if parts == nil {
		return "", false
	}
	return parts[1], hasChecksum(text)
}

// hasChecksum reports whether a text ends by the checksum of what is before it.
func hasChecksum(text string) bool {
	begin := text[:len(text)-checksumSize]
	return text[len(begin):] == checksumOf(begin)
}

const checksumSize = 7

// shownRandom is how many characters of a key's random part lists show: people
// know it again by them, and nobody guesses the other 20.
const shownRandom = 6

// newKey makes the text of a key, and its beginning.
func newKey(tenant string) (text, prefix string) { return newCredential("pdk_" + tenant + "_") }

// newCredential makes a random text that begins so and ends by its checksum, and what lists
// show of it.
func newCredential(begin string) (text, prefix string) {
	random := rand.Text()
	return begin + random + checksumOf(begin+random), begin + random[:shownRandom]
}

func hashOf(key string) string {
	sum := hash(key)
	return hex.EncodeToString(sum[:])
}

// keyOwner is who a tenant's key belongs to, which comes from a source.
func (s *server) keyOwner(ctx context.Context, source, key string) (caller, error) {
	hashed, began := hash(key), time.Now()
	if !s.guesses.allow(source, hashed, s.Now()) {
		return caller{}, postdate.Errorf(postdate.TooManyRequests, "", "too many wrong keys from this address: try again in a moment")
	}
	owner, err := s.findKey(ctx, key)
	switch {
	case err == nil:
		s.guesses.right(hashed, s.Now())
	case errors.Is(err, errUnknownKey):
		s.guesses.wrong(source, s.Now())
		delayRefusal(ctx, began)
	}
	return owner, err
}

func (s *server) findKey(ctx context.Context, key string) (caller, error) {
	name, ok := isKey(key)
	if !ok {
		return caller{}, errUnknownKey
	}
	tenant, err := s.Tenants.Tenant(ctx, name)
	if err != nil {
		return caller{}, err
	}
	given := []byte(hashOf(key))
	for _, k := range tenant.Keys {
		if subtle.ConstantTimeCompare(given, []byte(k.Hash)) == 1 && k.Valid(s.Now()) {
			return caller{tenant: name, key: k.ID, scope: k.Scope, endpoint: k.Endpoint}, nil
		}
	}
	return caller{}, errUnknownKey
}

// CreateKey makes a key of the tenant's, and shows it this once.
func (s *server) CreateKey(ctx context.Context, r CreateKeyRequestObject) (CreateKeyResponseObject, error) {
	now, tenant := s.Now().UTC(), tenantOf(ctx)
	text, prefix := newKey(tenant)
	key := postdate.Key{
		ID:          "key_" + randomID(),
		Prefix:      prefix,
		Hash:        hashOf(text),
		Scope:       cmp.Or(r.Body.Scope, postdate.Write),
		Endpoint:    r.Body.Endpoint,
		Description: r.Body.Description,
		CreatedAt:   now,
		ExpiresAt:   utc(r.Body.ExpiresAt),
	}
	if !key.Valid(now) {
		return nil, postdate.Errorf(postdate.Invalid, "/expires_at", "has passed")
	}
	if err := s.validateKey(ctx, key); err != nil {
		return nil, err
	}
	if err := s.Tenants.CreateKey(ctx, tenant, key); err != nil {
		return nil, err
	}
	return CreateKey201JSONResponse{
		ID: key.ID, Key: text, Prefix: key.Prefix, Scope: key.Scope, Endpoint: key.Endpoint,
		Description: key.Description, CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt,
	}, nil
}

// ListKeys lists the tenant's keys, those that have expired included.
func (s *server) ListKeys(ctx context.Context, _ ListKeysRequestObject) (ListKeysResponseObject, error) {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	all := make([]Key, len(tenant.Keys))
	for i, k := range tenant.Keys {
		all[i] = Key{
			ID: k.ID, Prefix: k.Prefix, Scope: k.Scope, Endpoint: k.Endpoint,
			Description: k.Description, CreatedAt: k.CreatedAt, ExpiresAt: k.ExpiresAt,
		}
	}
	return ListKeys200JSONResponse{Data: all}, nil
}

// RevokeKey invalidates a key.
func (s *server) RevokeKey(ctx context.Context, r RevokeKeyRequestObject) (RevokeKeyResponseObject, error) {
	if err := postdate.ValidateID("/id", r.ID); err != nil {
		return nil, err
	}
	if err := s.Tenants.RevokeKey(ctx, tenantOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return RevokeKey200JSONResponse(r), nil
}
