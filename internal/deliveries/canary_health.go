package deliveries

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// canaryHealth is the canary of e beside the primary: counted is what the execution of e has
// counted, nil where there is none. Nil: e has no canary.
func (s *Store) canaryHealth(ctx context.Context, tenant string, e postdate.Endpoint, counted *postdate.CanaryHealth) (*postdate.CanaryHealth, error) {
	c := e.Canary
	if c == nil {
		return nil, nil //nolint:nilnil // most have none
	}
	none := protocol.SideCounts{}
	h := postdate.CanaryHealth{ID: c.ID, Primary: none.Side(), Canary: none.Side()}
	if counted != nil && counted.ID == c.ID {
		h = *counted
		h.Since = h.Since.UTC()
	}
	h.State, h.Reason, h.Mirror, h.Share, h.Breaker = c.State, c.Reason, c.Mirror, c.Share, postdate.BreakerClosed
	if len(c.Plan) > 0 {
		h.Step = c.Step + 1
		if c.Plan[c.Step].For > 0 {
			h.StepEndsAt = c.StepEnds().UTC()
		}
	}
	if !c.Active() {
		return &h, nil
	}
	var own protocol.EndpointHealth
	key := postdate.CanaryKey(e.ID, c.ID)
	found, err := s.queryEndpoint(ctx, tenant, key, &own, protocol.QueryHealth)
	if err != nil || !found {
		return &h, err
	}
	if err := s.readWaiting(ctx, tenant, e.ID, &own); err != nil {
		return nil, err
	}
	h.Breaker, h.Waiting, h.InFlight = own.Breaker, own.Waiting, own.InFlight
	return &h, nil
}

// findInQueue reads the health of an endpoint, or of a canary, and the position of r in its
// queue: found is false where r does not wait there, or that is not known.
func (s *Store) findInQueue(ctx context.Context, r *record, key string) (health protocol.EndpointHealth, position postdate.QueuePosition, found bool) {
	tenant := r.input.Shipment.Message.Tenant
	if found, err := s.queryEndpoint(ctx, tenant, key, &health, protocol.QueryHealth); err != nil || !found {
		return health, position, false
	}
	r.health = &health.Health
	found, err := s.queryEndpoint(ctx, tenant, key, &position, protocol.QueryTurn, r.lineID)
	return health, position, err == nil && found
}
