package system

import (
	"context"
	"net/http"
	"strconv"
)

// Register registers an endpoint with those settings, and returns its id.
func (p *Postdate) Register(ctx context.Context, settings map[string]any) (string, error) {
	var created struct{ ID string }
	err := p.call(ctx, http.MethodPost, "/v1/endpoints", settings, http.StatusCreated, &created)
	return created.ID, err
}

// Subscribe registers n endpoints for events of that type, each with a path of its
// own on the receiver.
func (p *Postdate) Subscribe(ctx context.Context, receiver, eventType string, n int) error {
	for i := range n {
		settings := map[string]any{"url": receiver + strconv.Itoa(i), "event_types": []string{eventType}}
		if _, err := p.Register(ctx, settings); err != nil {
			return err
		}
	}
	return nil
}

// UpdateEndpoint changes those settings of an endpoint.
func (p *Postdate) UpdateEndpoint(ctx context.Context, id string, settings map[string]any) error {
	return p.call(ctx, http.MethodPatch, "/v1/endpoints/"+id, settings, http.StatusOK, nil)
}

// Waiting returns how many deliveries wait for an endpoint, by its health.
func (p *Postdate) Waiting(ctx context.Context, id string) (int, error) {
	var health struct{ Waiting int }
	err := p.call(ctx, http.MethodGet, "/v1/endpoints/"+id+"/health", nil, http.StatusOK, &health)
	return health.Waiting, err
}
