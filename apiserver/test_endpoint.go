package apiserver

import (
	"cmp"
	"context"
	"errors"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
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
	if endpoint.Pull {
		return nil, postdate.Errorf(postdate.Conflict, "", "nothing is sent to an endpoint that is pulled from: publish an event that it wants, and pull it")
	}
	attempt, id, err := s.test(ctx, s.endpointProbe(ctx, endpoint))
	if err != nil {
		return nil, err
	}
	return TestEndpoint200JSONResponse{Delivery: id, Attempt: attempt}, nil
}

// test sends a probe, and returns the attempt and the id of the delivery.
func (s *server) test(ctx context.Context, in protocol.DeliverInput) (attempt Attempt, id string, err error) {
	polling, err := s.Deliveries.WorkerPolling(ctx)
	if err != nil {
		return Attempt{}, "", err
	}
	if !polling {
		return Attempt{}, "", postdate.Errorf(postdate.Unavailable, "", "no worker is running that could do it")
	}
	id = in.Shipment.ID()
	accepted := protocol.Accepted{To: in.Shipment.To, At: in.Shipment.DueAt}
	if _, err := s.Ingester.Start(ctx, in, accepted); err != nil {
		return Attempt{}, "", err
	}
	if err := s.awaitEnd(ctx, id); err != nil {
		return Attempt{}, "", err
	}
	ended, err := s.Deliveries.Get(ctx, tenantOf(ctx), id)
	if err != nil {
		return Attempt{}, "", err
	}
	attempts := attemptsOf(ended.Attempts)
	if len(attempts) == 0 {
		return Attempt{}, "", postdate.Errorf(postdate.Conflict, "", "no attempt was made: %s", cmp.Or(ended.Reason, "the test was cancelled"))
	}
	return attempts[len(attempts)-1], id, nil
}

// endpointProbe is what a test sends: once.
func (s *server) endpointProbe(ctx context.Context, endpoint postdate.Endpoint) protocol.DeliverInput {
	in := s.probe(ctx, []byte(`{"endpoint":"`+endpoint.ID+`"}`))
	in.Shipment.DeliveryID = postdate.DeliveryID(in.Shipment.Message.ID, endpoint.ID)
	in.Shipment.To = postdate.Destination{Endpoint: endpoint.ID}
	in.Shipment.Timeout = endpoint.Timeout
	return in
}

// probe is a test that goes nowhere yet.
func (s *server) probe(ctx context.Context, data []byte) protocol.DeliverInput {
	now, event := s.Now().UTC(), "test_"+randomID()
	in := protocol.DeliverInput{Retry: postdate.Retry{MaxAttempts: 1}.WithDefaults()}
	in.Shipment.DeliveryID = event
	in.Shipment.DueAt = now
	in.Shipment.Test = true
	in.Shipment.Message = postdate.Message{
		ID: event, Tenant: tenantOf(ctx), Type: testType, Timestamp: now, Data: data, TraceParent: traceParent(ctx),
	}
	return in
}

// probeTimeout bounds the wait for the end of a test.
const probeTimeout = postdate.MaxTimeout + readTimeout

// awaitEnd waits for the end of a delivery, whichever that is.
func (s *server) awaitEnd(ctx context.Context, id string) error {
	ctx, stop := context.WithTimeout(ctx, probeTimeout)
	defer stop()
	s.Deliveries.AwaitEnd(ctx, tenantOf(ctx), id)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return postdate.Errorf(postdate.Unavailable, "", "the test has not ended in time: ask for the delivery %q", id)
	}
	return ctx.Err()
}
