package apiserver

import (
	"context"
	"errors"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

// testType is the type of the events by which endpoints are tested.
const testType = "postdate.test"

// TestEndpoint sends an endpoint a message at once, whether it is enabled or
// not, and answers what came of it.
func (s *server) TestEndpoint(ctx context.Context, r TestEndpointRequestObject) (TestEndpointResponseObject, error) {
	endpoint, err := s.endpoint(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	polling, err := s.Ledger.WorkerPolling(ctx)
	if err != nil {
		return nil, err
	}
	if !polling {
		return nil, postdate.Errorf(postdate.Unavailable, "", "no worker is running that could do it")
	}
	in := s.trial(ctx, endpoint)
	id := in.Shipment.ID()
	told := workflows.Accepted{To: in.Shipment.To, At: in.Shipment.DueAt}
	if _, err := s.Ledger.Start(ctx, in, told); err != nil {
		return nil, err
	}
	if err := s.awaitEnd(ctx, id); err != nil {
		return nil, err
	}
	ended, err := s.Ledger.Look(ctx, tenantOf(ctx), id)
	if err != nil {
		return nil, err
	}
	made := attemptsOf(ended.Attempts)
	if len(made) == 0 {
		return nil, postdate.Errorf(postdate.Conflict, "", "no attempt was made: the endpoint was deleted meanwhile, or somebody cancelled it")
	}
	return TestEndpoint200JSONResponse{Delivery: id, Attempt: made[len(made)-1]}, nil
}

// trial is what a test sends: once.
func (s *server) trial(ctx context.Context, endpoint postdate.Endpoint) workflows.DeliverInput {
	now, event := s.Now().UTC(), "test_"+randomID()
	in := workflows.DeliverInput{Retry: postdate.Retry{MaxAttempts: 1}.WithDefaults()}
	in.Shipment.DeliveryID = postdate.DeliveryID(event, endpoint.ID)
	in.Shipment.To = postdate.Destination{Endpoint: endpoint.ID}
	in.Shipment.DueAt = now
	in.Shipment.Timeout = endpoint.Timeout
	in.Shipment.Test = true
	in.Shipment.Message = postdate.Message{
		ID: event, Tenant: tenantOf(ctx), Type: testType, Timestamp: now,
		Data: []byte(`{"endpoint":"` + endpoint.ID + `"}`), TraceParent: traceParent(ctx),
	}
	return in
}

// trialTimeout bounds the wait for the end of a test.
const trialTimeout = postdate.MaxTimeout + readTimeout

// awaitEnd waits for the end of a delivery, whichever that is.
func (s *server) awaitEnd(ctx context.Context, id string) error {
	ctx, stop := context.WithTimeout(ctx, trialTimeout)
	defer stop()
	run := s.Ledger.Temporal.GetWorkflow(ctx, workflows.DeliveryID(tenantOf(ctx), id), "")
	// How it ended does not matter: what came of the attempt is looked up.
	_ = run.Get(ctx, nil)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return postdate.Errorf(postdate.Unavailable, "", "the test has not ended in time: ask for the delivery %q", id)
	}
	return ctx.Err()
}
