package apiserver

import (
	"context"
	"net/url"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// canaryOf is the canary that body describes, under a new id: nil where it describes none,
// and one without a url where it is to be removed.
func canaryOf(body *Canary) (*postdate.Canary, error) {
	if body == nil {
		return nil, nil //nolint:nilnil // most have none
	}
	if body.Share > 0 && len(body.Plan) > 0 {
		return nil, postdate.Errorf(postdate.Invalid, "/canary/share", "share and plan exclude each other")
	}
	canary := &postdate.Canary{
		URL: body.URL, Entities: sorted(body.Entities), ExcludedEntities: sorted(body.ExcludedEntities), Share: body.Share, Mirror: body.Mirror,
		RateLimit: body.RateLimit, MaxInFlight: body.MaxInFlight, Plan: body.Plan, Then: body.Then, AutoRollback: body.AutoRollback,
	}
	if !canary.IsZero() {
		canary.ID = "cn_" + randomID()
	}
	return canary, nil
}

// sorted are entities as a canary keeps them.
func sorted(entities []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(entities)))
}

// shownCanary is c in an answer: nil where there is none.
func shownCanary(c *postdate.Canary) *CanaryShown {
	if c == nil {
		return nil
	}
	shown := &CanaryShown{
		ID: c.ID, URL: c.URL, Entities: c.Entities, ExcludedEntities: c.ExcludedEntities, Share: c.Share, Mirror: c.Mirror,
		RateLimit: c.RateLimit, MaxInFlight: c.MaxInFlight, Plan: c.Plan, Then: c.Then, AutoRollback: c.AutoRollback,
		State: c.State, Reason: c.Reason, CreatedAt: c.CreatedAt.UTC(), EndedAt: c.EndedAt.UTC(),
	}
	if len(c.Plan) > 0 {
		shown.Step, shown.StepBeganAt = c.Step+1, c.StepAt.UTC()
	}
	return shown
}

// validateCanary refuses a canary that nothing could ever be sent to.
func (s *server) validateCanary(ctx context.Context, c *postdate.Canary) error {
	if s.CheckURL == nil || c == nil {
		return nil
	}
	u, err := url.Parse(c.URL)
	if err == nil {
		err = s.CheckURL(tenantOf(ctx), u)
	}
	if err != nil {
		return postdate.Errorf(postdate.Invalid, "/canary/url", "%s", err)
	}
	return nil
}

// PromoteCanary makes the url of an endpoint's canary the endpoint's own.
func (s *server) PromoteCanary(ctx context.Context, r PromoteCanaryRequestObject) (PromoteCanaryResponseObject, error) {
	changed, err := s.changeCanary(ctx, r.ID, protocol.CanaryPromote)
	if err != nil {
		return nil, err
	}
	return PromoteCanary200JSONResponse(changed), nil
}

// HoldCanary keeps an endpoint's canary as it is.
func (s *server) HoldCanary(ctx context.Context, r HoldCanaryRequestObject) (HoldCanaryResponseObject, error) {
	changed, err := s.changeCanary(ctx, r.ID, protocol.CanaryHold)
	if err != nil {
		return nil, err
	}
	return HoldCanary200JSONResponse(changed), nil
}

// RollbackCanary sends everything to an endpoint's primary again.
func (s *server) RollbackCanary(ctx context.Context, r RollbackCanaryRequestObject) (RollbackCanaryResponseObject, error) {
	changed, err := s.changeCanary(ctx, r.ID, protocol.CanaryRollback)
	if err != nil {
		return nil, err
	}
	return RollbackCanary200JSONResponse(changed), nil
}

func (s *server) changeCanary(ctx context.Context, id string, action protocol.CanaryAction) (Endpoint, error) {
	endpoint, err := s.endpoint(ctx, id)
	if err != nil {
		return Endpoint{}, err
	}
	if endpoint.Canary == nil {
		return Endpoint{}, postdate.Errorf(postdate.NotFound, "", "endpoint %s has no canary", id)
	}
	// The canary that the caller knows is meant, and no other that took its place just now.
	changed, err := s.Tenants.CanaryAction(ctx, tenantOf(ctx), protocol.ChangeCanary{ID: id, Canary: endpoint.Canary.ID, Action: action})
	return shownEndpoint(changed), err
}
