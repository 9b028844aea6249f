package directory

import (
	"context"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// CreateEndpoint adds e, which is whole and valid. Where its id is taken by an
// endpoint of the same digest that one is answered, and created is false; by
// another one it is a [postdate.Conflict].
func (d *Directory) CreateEndpoint(ctx context.Context, tenant string, e postdate.Endpoint) (made postdate.Endpoint, created bool, err error) {
	changed, err := d.change(ctx, tenant, true, workflows.UpdateCreateEndpoint, e)
	if err != nil {
		return postdate.Endpoint{}, false, err
	}
	return *changed.Endpoint, changed.Created, nil
}

// PatchEndpoint changes an endpoint.
func (d *Directory) PatchEndpoint(ctx context.Context, tenant, id string, patch postdate.EndpointPatch) (postdate.Endpoint, error) {
	return d.changeEndpoint(ctx, tenant, id, workflows.UpdatePatchEndpoint, workflows.PatchEndpoint{ID: id, Patch: patch})
}

// DeleteEndpoint removes an endpoint. What is under way to it is cancelled.
func (d *Directory) DeleteEndpoint(ctx context.Context, tenant, id string) error {
	_, err := d.changeEndpoint(ctx, tenant, id, workflows.UpdateDeleteEndpoint, id)
	return err
}

// SetEndpointState pauses, enables or disables an endpoint. Enabling sends what
// is parked, oldest first.
func (d *Directory) SetEndpointState(ctx context.Context, tenant, id string, state postdate.EndpointState, reason string) (postdate.Endpoint, error) {
	return d.changeEndpoint(ctx, tenant, id, workflows.UpdateSetEndpointState,
		workflows.SetEndpointState{ID: id, State: state, Reason: reason})
}

// RotateEndpointSecret puts secret first; those before it sign for overlap more.
func (d *Directory) RotateEndpointSecret(ctx context.Context, tenant, id string, secret postdate.Secret, overlap time.Duration) (postdate.Endpoint, error) {
	return d.changeEndpoint(ctx, tenant, id, workflows.UpdateRotateSecret,
		workflows.RotateSecret{Endpoint: id, Secret: secret, Overlap: postdate.Duration(overlap)})
}

// changeEndpoint changes one that there is, and tells its execution.
func (d *Directory) changeEndpoint(ctx context.Context, tenant, id, update string, arg any) (postdate.Endpoint, error) {
	changed, err := d.change(ctx, tenant, false, update, arg)
	if err != nil {
		return postdate.Endpoint{}, err
	}
	switch update {
	case workflows.UpdateDeleteEndpoint:
		d.tellSettings(ctx, tenant, id, changed.Version, nil)
	case workflows.UpdatePatchEndpoint, workflows.UpdateSetEndpointState:
		d.tellSettings(ctx, tenant, id, changed.Version, changed.Endpoint)
	}
	return *changed.Endpoint, nil
}

// RotateSecret puts secret first among those for bare urls.
func (d *Directory) RotateSecret(ctx context.Context, tenant string, secret postdate.Secret, overlap time.Duration) error {
	_, err := d.change(ctx, tenant, true, workflows.UpdateRotateSecret,
		workflows.RotateSecret{Secret: secret, Overlap: postdate.Duration(overlap), Before: d.before(tenant)})
	return err
}

// EnsureSecret answers the secret that signs a tenant's messages to bare urls;
// it makes made that secret where there is none.
func (d *Directory) EnsureSecret(ctx context.Context, tenant string, made postdate.Secret) (postdate.Secret, error) {
	configured, err := d.Tenant(ctx, tenant)
	if err != nil {
		return "", err
	}
	if len(configured.Secrets) > 0 {
		return configured.Secrets[0].Secret, nil
	}
	changed, err := d.change(ctx, tenant, true, workflows.UpdateRotateSecret, workflows.RotateSecret{Secret: made, Ensure: true})
	return changed.Secret, err
}

// CreateKey adds a key.
func (d *Directory) CreateKey(ctx context.Context, tenant string, key postdate.Key) error {
	_, err := d.change(ctx, tenant, true, workflows.UpdateCreateKey, key)
	return err
}

// RevokeKey removes a key.
func (d *Directory) RevokeKey(ctx context.Context, tenant, id string) error {
	_, err := d.change(ctx, tenant, false, workflows.UpdateRevokeKey, id)
	return err
}
