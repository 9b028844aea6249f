package apiserver

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// RetryDeliveries has all dead letters that match taken up again, or counts them.
func (s *server) RetryDeliveries(ctx context.Context, r RetryDeliveriesRequestObject) (RetryDeliveriesResponseObject, error) {
	filter := postdate.Filter{
		Tenant: tenantOf(ctx), State: postdate.Dead, Endpoint: r.Body.Endpoint, Entity: r.Body.Entity, Type: r.Body.Type,
		DueBefore: r.Body.DueBefore, DueAfter: r.Body.DueAfter,
	}
	if err := filter.Validate(); err != nil {
		return nil, err
	}
	if r.Body.DryRun {
		found, err := s.Ledger.Count(ctx, filter)
		if err != nil {
			return nil, err
		}
		return RetryDeliveries200JSONResponse{State: DryRun, Found: found}, nil
	}
	id := "swp_" + timedID()
	err := s.Ledger.StartSweep(ctx, tenantOf(ctx), id, workflows.SweepInput{Action: workflows.SweepRetry, Filter: filter})
	if err != nil {
		return nil, err
	}
	return RetryDeliveries202JSONResponse{ID: id, State: Running}, nil
}

// GetSweep tells how far a sweep is.
func (s *server) GetSweep(ctx context.Context, r GetSweepRequestObject) (GetSweepResponseObject, error) {
	progress, finished, err := s.Ledger.LookSweep(ctx, tenantOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	state := Running
	if finished {
		state = Finished
	}
	return GetSweep200JSONResponse{
		ID: r.ID, State: state,
		Found: progress.Found, Done: progress.Done, Skipped: progress.Skipped, Failed: progress.Failed,
	}, nil
}
