package apiserver

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/postdate/postdate/internal/ingest"

	"github.com/postdate/postdate"
)

// CreateEndpoint registers an endpoint, and shows its secret this once.
func (s *server) CreateEndpoint(ctx context.Context, r CreateEndpointRequestObject) (CreateEndpointResponseObject, error) {
	endpoint, err := s.endpointOf(*r.Body)
	if err != nil {
		return nil, err
	}
	if err := s.validateEndpoint(ctx, endpoint); err != nil {
		return nil, err
	}
	endpoint.ID = "ep_" + idFor(tenantOf(ctx), r.Params.IdempotencyKey)
	endpoint.Digest = ingest.Digest(*r.Body)
	registered, created, err := s.Tenants.CreateEndpoint(ctx, tenantOf(ctx), endpoint)
	if postdate.CodeOf(err) == postdate.Conflict {
		return nil, postdate.Errorf(postdate.Conflict, "", "an endpoint was registered with this Idempotency-Key by a request with another body")
	}
	if err != nil {
		return nil, err
	}
	if !created {
		return CreateEndpoint200JSONResponse(shownEndpoint(registered)), nil
	}
	return CreateEndpoint201JSONResponse(withSecret(registered)), nil
}

// GetEndpoint shows an endpoint.
func (s *server) GetEndpoint(ctx context.Context, r GetEndpointRequestObject) (GetEndpointResponseObject, error) {
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	return GetEndpoint200JSONResponse(shownEndpoint(endpoint)), nil
}

// endpointList identifies the list of a tenant's endpoints, for its cursors.
type endpointList struct {
	Tenant string `json:"endpoints_of"`
}

// endpointPosition is the position of an endpoint in that list. The endpoint may have been
// deleted since.
type endpointPosition struct {
	CreatedAt time.Time `json:"t"`
	ID        string    `json:"i"`
}

func positionOf(e postdate.Endpoint) endpointPosition { return endpointPosition{e.CreatedAt, e.ID} }

func (p endpointPosition) compare(other endpointPosition) int {
	return cmp.Or(p.CreatedAt.Compare(other.CreatedAt), cmp.Compare(p.ID, other.ID))
}

// ListEndpoints lists the tenant's endpoints in the order in which they were registered.
func (s *server) ListEndpoints(ctx context.Context, r ListEndpointsRequestObject) (ListEndpointsResponseObject, error) {
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return nil, err
	}
	list := endpointList{tenantOf(ctx)}
	rest := slices.SortedFunc(slices.Values(tenant.Endpoints), func(a, b postdate.Endpoint) int {
		return positionOf(a).compare(positionOf(b))
	})
	if r.Params.Cursor != "" {
		var after endpointPosition
		if err := s.openCursor(list, r.Params.Cursor, &after); err != nil {
			return nil, err
		}
		rest = slices.DeleteFunc(rest, func(e postdate.Endpoint) bool { return positionOf(e).compare(after) <= 0 })
	}
	shown := rest[:min(len(rest), cmp.Or(r.Params.Limit, defaultLimit))]
	page := EndpointList{Data: make([]Endpoint, len(shown)), HasMore: len(rest) > len(shown)}
	for i, e := range shown {
		page.Data[i] = shownEndpoint(e)
	}
	if page.HasMore {
		page.NextCursor = s.cursor(list, positionOf(shown[len(shown)-1]))
	}
	return ListEndpoints200JSONResponse(page), nil
}

// ChangeEndpoint changes what is given.
func (s *server) ChangeEndpoint(ctx context.Context, r ChangeEndpointRequestObject) (ChangeEndpointResponseObject, error) {
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	patch, err := patchOf(*r.Body)
	if err != nil {
		return nil, err
	}
	if err := s.validateEndpoint(ctx, patch.Apply(endpoint)); err != nil {
		return nil, err
	}
	changed, err := s.Tenants.PatchEndpoint(ctx, tenantOf(ctx), r.ID, patch)
	if err != nil {
		return nil, err
	}
	return ChangeEndpoint200JSONResponse(shownEndpoint(changed)), nil
}

// DeleteEndpoint removes an endpoint. What is under way to it is cancelled after
// the answer, which is why that counts it before.
func (s *server) DeleteEndpoint(ctx context.Context, r DeleteEndpointRequestObject) (DeleteEndpointResponseObject, error) {
	if _, err := s.endpoint(ctx, r.ID); err != nil {
		return nil, err
	}
	cancelled, err := s.countOpen(ctx, postdate.Filter{Tenant: tenantOf(ctx), Endpoint: r.ID})
	if err != nil {
		return nil, err
	}
	if err := s.Tenants.DeleteEndpoint(ctx, tenantOf(ctx), r.ID); err != nil {
		return nil, err
	}
	return DeleteEndpoint200JSONResponse{Cancelled: cancelled}, nil
}

// PauseEndpoint stops sending to an endpoint.
func (s *server) PauseEndpoint(ctx context.Context, r PauseEndpointRequestObject) (PauseEndpointResponseObject, error) {
	changed, err := s.setEndpointState(ctx, r.ID, postdate.Paused, "paused by its owner")
	if err != nil {
		return nil, err
	}
	return PauseEndpoint200JSONResponse(changed), nil
}

// ResumeEndpoint enables an endpoint that is paused or disabled.
func (s *server) ResumeEndpoint(ctx context.Context, r ResumeEndpointRequestObject) (ResumeEndpointResponseObject, error) {
	changed, err := s.setEndpointState(ctx, r.ID, postdate.Enabled, "")
	if err != nil {
		return nil, err
	}
	return ResumeEndpoint200JSONResponse(changed), nil
}

func (s *server) setEndpointState(ctx context.Context, id string, state postdate.EndpointState, reason string) (Endpoint, error) {
	if _, err := s.endpoint(ctx, id); err != nil {
		return Endpoint{}, err
	}
	changed, err := s.Tenants.SetEndpointState(ctx, tenantOf(ctx), id, state, reason)
	return shownEndpoint(changed), err
}

// GetEndpointHealth shows an endpoint's health.
func (s *server) GetEndpointHealth(ctx context.Context, r GetEndpointHealthRequestObject) (GetEndpointHealthResponseObject, error) {
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	health, err := s.Deliveries.Health(ctx, tenantOf(ctx), endpoint)
	if err != nil {
		return nil, err
	}
	return GetEndpointHealth200JSONResponse(health), nil
}

// endpoint is the tenant's endpoint of that id.
func (s *server) endpoint(ctx context.Context, id string) (postdate.Endpoint, error) {
	if err := postdate.ValidateID("/id", id); err != nil {
		return postdate.Endpoint{}, err
	}
	tenant, err := s.Tenants.Tenant(ctx, tenantOf(ctx))
	if err != nil {
		return postdate.Endpoint{}, err
	}
	endpoint, ok := tenant.Endpoint(id)
	if !ok {
		return postdate.Endpoint{}, postdate.Errorf(postdate.NotFound, "", "there is no endpoint %q", id)
	}
	return endpoint, nil
}
