package apiserver

import (
	"context"

	"github.com/postdate/postdate"
)

// GetDelivery shows a delivery.
func (s *server) GetDelivery(ctx context.Context, r GetDeliveryRequestObject) (GetDeliveryResponseObject, error) {
	found, err := s.Deliveries.Get(ctx, tenantOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return GetDelivery200JSONResponse(s.deliveryOf(found)), nil
}

// ListDeliveries lists deliveries.
func (s *server) ListDeliveries(ctx context.Context, r ListDeliveriesRequestObject) (ListDeliveriesResponseObject, error) {
	page, err := s.list(ctx, postdate.Filter{
		Tenant: tenantOf(ctx), State: r.Params.State, Endpoint: r.Params.Endpoint, Entity: r.Params.Entity, Type: r.Params.Type,
		Import: r.Params.Import, DueBefore: r.Params.DueBefore, DueAfter: r.Params.DueAfter,
	}, r.Params.Limit, r.Params.Cursor)
	if err != nil {
		return nil, err
	}
	return ListDeliveries200JSONResponse(page), nil
}

// CancelDelivery cancels a delivery, unless it ends otherwise first.
func (s *server) CancelDelivery(ctx context.Context, r CancelDeliveryRequestObject) (CancelDeliveryResponseObject, error) {
	done, err := s.Deliveries.RequestCancel(ctx, tenantOf(ctx), r.ID)
	switch {
	case err != nil:
		return nil, err
	case !done:
		return CancelDelivery202JSONResponse{State: postdate.Sending}, nil
	}
	return CancelDelivery200JSONResponse{State: postdate.Cancelled}, nil
}

// RetryDelivery starts a dead letter again under the same id.
func (s *server) RetryDelivery(ctx context.Context, r RetryDeliveryRequestObject) (RetryDeliveryResponseObject, error) {
	retried, err := s.Deliveries.Retry(ctx, tenantOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	return RetryDelivery200JSONResponse(s.deliveryOf(retried)), nil
}
