package apiserver

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// RetryDeliveries has all dead letters that match taken up again, or counts them.
func (s *server) RetryDeliveries(ctx context.Context, r RetryDeliveriesRequestObject) (RetryDeliveriesResponseObject, error) {
	filter := postdate.Filter{
		Tenant: tenantOf(ctx), Endpoint: r.Body.Endpoint, Entity: r.Body.Entity, Type: r.Body.Type,
		Import: r.Body.Import, DueBefore: r.Body.DueBefore, DueAfter: r.Body.DueAfter,
	}
	if err := validateReach(filter, r.Body.All, r.Body.DryRun); err != nil {
		return nil, err
	}
	filter.State = postdate.Dead
	if r.Body.DryRun {
		found, err := s.Deliveries.Count(ctx, filter)
		if err != nil {
			return nil, err
		}
		return RetryDeliveries200JSONResponse{State: DryRun, Found: found}, nil
	}
	begun, err := s.startOperation(ctx, protocol.SweepInput{Action: protocol.SweepRetry, Filter: filter})
	if err != nil {
		return nil, err
	}
	return RetryDeliveries202JSONResponse(begun), nil
}

// CancelDeliveries has all that match and have not ended cancelled, or counts them.
func (s *server) CancelDeliveries(ctx context.Context, r CancelDeliveriesRequestObject) (CancelDeliveriesResponseObject, error) {
	filter := postdate.Filter{
		Tenant: tenantOf(ctx), State: r.Body.State, Endpoint: r.Body.Endpoint, Entity: r.Body.Entity, Type: r.Body.Type,
		Import: r.Body.Import, DueBefore: r.Body.DueBefore, DueAfter: r.Body.DueAfter,
		// What is accepted from now on is not meant.
		AcceptedBefore: new(s.Now().UTC()),
	}
	if err := validateReach(filter, r.Body.All, r.Body.DryRun); err != nil {
		return nil, err
	}
	if r.Body.DryRun {
		found, err := s.countOpen(ctx, filter)
		if err != nil {
			return nil, err
		}
		return CancelDeliveries200JSONResponse{State: DryRun, Found: found}, nil
	}
	begun, err := s.startOperation(ctx, protocol.SweepInput{Action: protocol.SweepCancel, Filter: filter})
	if err != nil {
		return nil, err
	}
	return CancelDeliveries202JSONResponse(begun), nil
}

// PostponeDeliveries has all that match and are not due yet put off, or counts them.
func (s *server) PostponeDeliveries(ctx context.Context, r PostponeDeliveriesRequestObject) (PostponeDeliveriesResponseObject, error) {
	filter := postdate.Filter{
		Tenant: tenantOf(ctx), Endpoint: r.Body.Endpoint, Entity: r.Body.Entity, Type: r.Body.Type,
		Import: r.Body.Import, DueBefore: r.Body.DueBefore, DueAfter: r.Body.DueAfter,
		AcceptedBefore: new(s.Now().UTC()), // what is accepted from now on is not meant
	}
	if err := validateReach(filter, r.Body.All, r.Body.DryRun); err != nil {
		return nil, err
	}
	if r.Body.By.Duration() > postdate.MaxDelay {
		return nil, postdate.Errorf(postdate.Invalid, "/by", "is more than 100 years")
	}
	filter.State = postdate.Scheduled
	if r.Body.DryRun {
		found, err := s.Deliveries.Count(ctx, filter)
		if err != nil {
			return nil, err
		}
		return PostponeDeliveries200JSONResponse{State: DryRun, Found: found}, nil
	}
	begun, err := s.startOperation(ctx, protocol.SweepInput{Action: protocol.SweepPostpone, Filter: filter, By: r.Body.By})
	if err != nil {
		return nil, err
	}
	return PostponeDeliveries202JSONResponse(begun), nil
}

// validateReach refuses an operation by filter that would reach all of the
// tenant's deliveries and does not say so. Counting them is none.
func validateReach(filter postdate.Filter, all, dryRun bool) error {
	switch narrows := filter.Narrows(); {
	case all && narrows:
		return postdate.Errorf(postdate.Invalid, "/all", "all and filters exclude each other")
	case !all && !narrows && !dryRun:
		return postdate.Errorf(postdate.Invalid, "", `no filter is given: name one, or say "all": true`)
	}
	return filter.Validate()
}

// startOperation starts an operation on all deliveries that a filter matches.
func (s *server) startOperation(ctx context.Context, in protocol.SweepInput) (Operation, error) {
	id := "swp_" + timedID()
	err := s.Deliveries.StartOperation(ctx, tenantOf(ctx), id, in)
	return Operation{ID: id, State: Running}, err
}

// countOpen counts those that filter means and that have not ended.
func (s *server) countOpen(ctx context.Context, filter postdate.Filter) (int, error) {
	if filter.State != "" {
		return s.Deliveries.Count(ctx, filter)
	}
	count := 0
	for _, state := range postdate.States {
		if state.Final() {
			continue
		}
		filter.State = state
		n, err := s.Deliveries.Count(ctx, filter)
		if err != nil {
			return 0, err
		}
		count += n
	}
	return count, nil
}

// GetOperation returns how far an operation is.
func (s *server) GetOperation(ctx context.Context, r GetOperationRequestObject) (GetOperationResponseObject, error) {
	progress, finished, err := s.Deliveries.GetOperation(ctx, tenantOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	state := Running
	if finished {
		state = Finished
	}
	return GetOperation200JSONResponse{
		ID: r.ID, State: state,
		Found: progress.Found, Done: progress.Done, Skipped: progress.Skipped, Failed: progress.Failed,
	}, nil
}
