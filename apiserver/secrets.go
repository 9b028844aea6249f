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

// secretOf is the secret that a caller brings along for a scheme, or a new one.
func secretOf(scheme postdate.Scheme, text string) (postdate.Secret, error) {
	const pointer = "/secret"
	switch {
	case text == "":
		return newSecret(scheme), nil
	case scheme == postdate.Ed25519:
		key, err := signature.ParseSigningKey(text)
		if err != nil {
			return "", postdate.Errorf(postdate.Invalid, pointer, "%s", err)
		}
		return postdate.Secret(key.Reveal()), nil
	}
	secret, err := signature.ParseSecret(text)
	if err != nil {
		return "", postdate.Errorf(postdate.Invalid, pointer, "%s", err)
	}
	return postdate.Secret(secret.Reveal()), nil
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

// RotateSigningSecret puts another in its place.
func (s *server) RotateSigningSecret(ctx context.Context, r RotateSigningSecretRequestObject) (RotateSigningSecretResponseObject, error) {
	secret, overlap, err := rotationOf(r.Body, postdate.HMAC)
	if err != nil {
		return nil, err
	}
	if err := s.Tenants.RotateSecret(ctx, tenantOf(ctx), secret, overlap); err != nil {
		return nil, err
	}
	return RotateSigningSecret200JSONResponse(rotated(secret, overlap)), nil
}

// RotateEndpointSecret puts another in its place, of the endpoint's scheme.
func (s *server) RotateEndpointSecret(ctx context.Context, r RotateEndpointSecretRequestObject) (RotateEndpointSecretResponseObject, error) {
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	secret, overlap, err := rotationOf(r.Body, endpoint.Signature)
	if err != nil {
		return nil, err
	}
	if _, err := s.Tenants.RotateEndpointSecret(ctx, tenantOf(ctx), r.ID, secret, overlap); err != nil {
		return nil, err
	}
	return RotateEndpointSecret200JSONResponse(rotated(secret, overlap)), nil
}

// rotationOf is the secret that is to sign by a scheme, and how long the one before is
// to go on.
func rotationOf(body *RotateSecret, scheme postdate.Scheme) (postdate.Secret, time.Duration, error) {
	if body == nil {
		body = &RotateSecret{}
	}
	overlap := postdate.DefaultOverlap
	if body.Overlap != nil {
		overlap = body.Overlap.Duration()
	}
	if overlap < 0 || overlap > postdate.MaxOverlap {
		return "", 0, postdate.Errorf(postdate.Invalid, "/overlap", "from 0s to %s", postdate.MaxOverlap)
	}
	secret, err := secretOf(scheme, body.Secret)
	return secret, overlap, err
}

func rotated(secret postdate.Secret, overlap time.Duration) RotatedSecret {
	shared, public := shown(secret)
	return RotatedSecret{Secret: shared, PublicKey: public, Overlap: postdate.Duration(overlap)}
}
