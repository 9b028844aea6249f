package apiserver

import (
	"context"
	"slices"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/streams"
)

// ListStreams lists the streams that the tenant may use.
func (s *server) ListStreams(ctx context.Context, _ ListStreamsRequestObject) (ListStreamsResponseObject, error) {
	list := ListStreams200JSONResponse{Data: []Stream{}}
	for _, each := range s.Streams.Of(tenantOf(ctx)) {
		list.Data = append(list.Data, shownStream(each))
	}
	if s.Consumed != nil {
		for _, each := range s.Consumed(tenantOf(ctx)) {
			list.Data = append(list.Data, shownConsumption(each))
		}
	}
	return list, nil
}

func shownStream(of streams.Status) Stream {
	return Stream{Name: of.Name, Kind: of.Kind, State: of.State, Reason: of.Reason, AsOf: of.AsOf}
}

// ConsumptionStatus is how it goes with a stream from which messages come.
type ConsumptionStatus struct {
	streams.Status

	Consumption Consumption
}

func shownConsumption(of ConsumptionStatus) Stream {
	shown := shownStream(of.Status)
	shown.Consumption = &of.Consumption
	return shown
}

// TestStream publishes a message to a stream at once, and answers what came of it.
func (s *server) TestStream(ctx context.Context, r TestStreamRequestObject) (TestStreamResponseObject, error) {
	known := slices.ContainsFunc(s.Streams.Of(tenantOf(ctx)), func(of streams.Status) bool { return of.Name == r.Name })
	if !known {
		return nil, postdate.Errorf(postdate.NotFound, "", "there is no stream %q", r.Name)
	}
	in := s.probe(ctx, []byte(`{"stream":"`+r.Name+`"}`))
	in.Shipment.To = postdate.Destination{Stream: r.Name}
	in.Shipment.Timeout = postdate.Duration(postdate.DefaultTimeout)
	attempt, id, err := s.test(ctx, in)
	if err != nil {
		return nil, err
	}
	return TestStream200JSONResponse{Delivery: id, Attempt: attempt}, nil
}
