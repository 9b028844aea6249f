package tenants

import (
	"context"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// CreateEndpoint adds e, which is complete and valid. Where an endpoint of the same digest
// has its id, that one is returned and created is false. Another one is a
// [postdate.Conflict].
func (s *Store) CreateEndpoint(ctx context.Context, tenant string, e postdate.Endpoint) (endpoint postdate.Endpoint, created bool, err error) {
	changed, err := s.changeVisibly(ctx, tenant, true, protocol.UpdateCreateEndpoint, e)
	if err != nil {
		return postdate.Endpoint{}, false, err
	}
	return *changed.Endpoint, changed.Created, nil
}

// PatchEndpoint changes an endpoint.
func (s *Store) PatchEndpoint(ctx context.Context, tenant, id string, patch postdate.EndpointPatch) (postdate.Endpoint, error) {
	return s.changeEndpoint(ctx, tenant, id, protocol.UpdatePatchEndpoint, protocol.PatchEndpoint{ID: id, Patch: patch})
}

// DeleteEndpoint deletes an endpoint. Deliveries to it that have not ended are cancelled.
func (s *Store) DeleteEndpoint(ctx context.Context, tenant, id string) error {
	_, err := s.changeEndpoint(ctx, tenant, id, protocol.UpdateDeleteEndpoint, id)
	return err
}

// SetEndpointState pauses, enables or disables an endpoint. Enabling it releases its
// parked deliveries, oldest first.
func (s *Store) SetEndpointState(ctx context.Context, tenant, id string, state postdate.EndpointState, reason string) (postdate.Endpoint, error) {
	return s.changeEndpoint(ctx, tenant, id, protocol.UpdateSetEndpointState,
		protocol.SetEndpointState{ID: id, State: state, Reason: reason})
}

// RotateEndpointSecret puts secret first. Those before it sign for as long as overlap.
func (s *Store) RotateEndpointSecret(ctx context.Context, tenant, id string, secret postdate.Secret, overlap time.Duration) (postdate.Endpoint, error) {
	return s.changeEndpoint(ctx, tenant, id, protocol.UpdateRotateSecret,
		protocol.RotateSecret{Endpoint: id, Secret: secret, Overlap: postdate.Duration(overlap)})
}

// changeEndpoint changes an endpoint, and signals its settings to its execution.
func (s *Store) changeEndpoint(ctx context.Context, tenant, id, update string, arg any) (postdate.Endpoint, error) {
	changed, err := s.changeVisibly(ctx, tenant, false, update, arg)
	if err != nil {
		return postdate.Endpoint{}, err
	}
	switch update {
	case protocol.UpdateDeleteEndpoint:
		s.signalSettings(ctx, tenant, id, changed.Version, nil)
	case protocol.UpdatePatchEndpoint, protocol.UpdateSetEndpointState, protocol.UpdateChangeCanary:
		s.signalSettings(ctx, tenant, id, changed.Version, changed.Endpoint)
	}
	return *changed.Endpoint, nil
}

// RotateSecret puts secret first among those for bare urls.
func (s *Store) RotateSecret(ctx context.Context, tenant string, secret postdate.Secret, overlap time.Duration) error {
	_, err := s.changeVisibly(ctx, tenant, true, protocol.UpdateRotateSecret,
		protocol.RotateSecret{Secret: secret, Overlap: postdate.Duration(overlap), Before: s.defaultSecret(tenant)})
	return err
}

// EnsureSecret returns the secret that signs a tenant's messages to bare urls. Where there
// is none, generated becomes that secret.
func (s *Store) EnsureSecret(ctx context.Context, tenant string, generated postdate.Secret) (postdate.Secret, error) {
	configured, err := s.Tenant(ctx, tenant)
	if err != nil {
		return "", err
	}
	if len(configured.Secrets) > 0 {
		return configured.Secrets[0].Secret, nil
	}
	changed, err := s.changeVisibly(ctx, tenant, true, protocol.UpdateRotateSecret, protocol.RotateSecret{Secret: generated, Ensure: true})
	return changed.Secret, err
}

// CreateKey adds a key.
func (s *Store) CreateKey(ctx context.Context, tenant string, key postdate.Key) error {
	_, err := s.changeVisibly(ctx, tenant, true, protocol.UpdateCreateKey, key)
	return err
}

// RevokeKey invalidates a key.
func (s *Store) RevokeKey(ctx context.Context, tenant, id string) error {
	_, err := s.changeVisibly(ctx, tenant, false, protocol.UpdateRevokeKey, id)
	return err
}
