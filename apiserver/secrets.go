package apiserver

import (
	"context"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/signature"
)

// newSecret makes what signs by a scheme.
func newSecret(scheme postdate.Scheme) postdate.Secret {
	if scheme == postdate.Ed25519 {
		return postdate.Secret(signature.NewSigningKey().Reveal())
	}
	return postdate.Secret(signature.NewSecret().Reveal())
}

// shown is what a receiver needs to verify what secret signs: the secret that it
// shares, or the public half of a key.
func shown(secret postdate.Secret) (shared, public string) {
	if key, err := signature.ParseSigningKey(secret.Reveal()); err == nil {
		return "", key.Public().String()
	}
	return secret.Reveal(), ""
}

// GetSigningSecret answers the secret that signs the tenant's messages to bare
// urls. A tenant gets one when it is first asked for.
func (s *server) GetSigningSecret(ctx context.Context, _ GetSigningSecretRequestObject) (GetSigningSecretResponseObject, error) {
	secret, err := s.Tenants.EnsureSecret(ctx, tenantOf(ctx), newSecret(postdate.HMAC))
	if err != nil {
		return nil, err
	}
	return GetSigningSecret200JSONResponse{Secret: secret.Reveal()}, nil
}

// RotateSigningSecret makes a new one.
func (s *server) RotateSigningSecret(ctx context.Context, r RotateSigningSecretRequestObject) (RotateSigningSecretResponseObject, error) {
	overlap, err := overlapOf(r.Body)
	if err != nil {
		return nil, err
	}
	secret := newSecret(postdate.HMAC)
	if err := s.Tenants.RotateSecret(ctx, tenantOf(ctx), secret, overlap); err != nil {
		return nil, err
	}
	return RotateSigningSecret200JSONResponse(rotated(secret, overlap)), nil
}

// RotateEndpointSecret makes an endpoint a new one, of the scheme that it has.
func (s *server) RotateEndpointSecret(ctx context.Context, r RotateEndpointSecretRequestObject) (RotateEndpointSecretResponseObject, error) {
	overlap, err := overlapOf(r.Body)
	if err != nil {
		return nil, err
	}
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	secret := newSecret(endpoint.Signature)
	if _, err := s.Tenants.RotateEndpointSecret(ctx, tenantOf(ctx), r.ID, secret, overlap); err != nil {
		return nil, err
	}
	return RotateEndpointSecret200JSONResponse(rotated(secret, overlap)), nil
}

// overlapOf is how long the secret before is to go on signing.
func overlapOf(body *RotateSecret) (time.Duration, error) {
	if body == nil || body.Overlap == nil {
		return postdate.DefaultOverlap, nil
	}
	overlap := body.Overlap.Duration()
	if overlap < 0 || overlap > postdate.MaxOverlap {
		return 0, postdate.Errorf(postdate.Invalid, "/overlap", "from 0s to %s", postdate.MaxOverlap)
	}
	return overlap, nil
}

func rotated(secret postdate.Secret, overlap time.Duration) RotatedSecret {
	shared, public := shown(secret)
	return RotatedSecret{Secret: shared, PublicKey: public, Overlap: postdate.Duration(overlap)}
}
