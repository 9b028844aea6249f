package apiserver

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/hex"
	"regexp"

	"github.com/postdate/postdate"
)

// A key names its tenant, so that its hash is looked up in one place:
// pdk_{tenant}_{random}.
var keyPattern = regexp.MustCompile(`^pdk_([A-Za-z0-9_-]{1,64})_[A-Z2-7]{26}$`)

// shownRandom is how many characters of a key's random part lists show: people
// know it again by them, and nobody guesses the other 20.
const shownRandom = 6

// newKey makes the text of a key, and its beginning.
func newKey(tenant string) (text, prefix string) {
	begin, random := "pdk_"+tenant+"_", rand.Text()
	return begin + random, begin + random[:shownRandom]
}

func hashOf(key string) string {
	sum := hash(key)
	return hex.EncodeToString(sum[:])
}

// holder is who holds a tenant's key.
func (s *server) holder(ctx context.Context, key string) (caller, error) {
	parts := keyPattern.FindStringSubmatch(key)
	if parts == nil {
		return caller{}, errUnknownKey
	}
	name := parts[1]
	if !s.Tenants.Knows(name) && !s.unknownTenants.Allow() {
		return caller{}, postdate.Errorf(postdate.TooManyRequests, "", "too many keys of tenants that are not known: try again")
	}
	tenant, err := s.Tenants.Tenant(ctx, name)
	if err != nil {
		return caller{}, err
	}
	given := []byte(hashOf(key))
	for _, k := range tenant.Keys {
		if subtle.ConstantTimeCompare(given, []byte(k.Hash)) == 1 && k.Valid(s.Now()) {
			return caller{tenant: name, key: k.ID, scope: k.Scope}, nil
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
		Description: r.Body.Description,
		CreatedAt:   now,
		ExpiresAt:   utc(r.Body.ExpiresAt),
	}
	if !key.Valid(now) {
		return nil, postdate.Errorf(postdate.Invalid, "/expires_at", "has passed")
	}
	if err := s.Tenants.CreateKey(ctx, tenant, key); err != nil {
		return nil, err
	}
	return CreateKey201JSONResponse{
		ID: key.ID, Key: text, Prefix: key.Prefix, Scope: key.Scope,
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
			ID: k.ID, Prefix: k.Prefix, Scope: k.Scope,
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
