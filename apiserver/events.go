package apiserver

import (
	"context"
	"errors"
	"strconv"

	"github.com/postdate/postdate/internal/ingest"

	"github.com/postdate/postdate"
)

// incoming is an event of a request, or why it is refused.
type incoming struct {
	event postdate.Event
	err   error
}

// PublishEvent publishes an event to those who subscribed to its type.
func (s *server) PublishEvent(ctx context.Context, r PublishEventRequestObject) (PublishEventResponseObject, error) {
	event := eventOf(*r.Body)
	published, err := s.publish(ctx, incoming{event: event, err: event.Validate()}, r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return PublishEvent202JSONResponse(published), nil
}

// PublishEvents publishes several. One that is refused does not keep the others back.
func (s *server) PublishEvents(ctx context.Context, r PublishEventsRequestObject) (PublishEventsResponseObject, error) {
	all := make([]incoming, len(r.Body.Events))
	for place, body := range r.Body.Events {
		event := eventOf(body)
		all[place] = incoming{event: event, err: within(place, event.Validate())}
	}
	published, err := s.publishBatch(ctx, all, r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return PublishEvents202JSONResponse(published), nil
}

// publish publishes one event.
func (s *server) publish(ctx context.Context, one incoming, key string) (Published, error) {
	if one.err != nil {
		return Published{}, one.err
	}
	published, err := s.Ingester.PublishBatch(ctx, ingest.Batch{
		Tenant: tenantOf(ctx), Events: []postdate.Event{one.event}, Key: key, TraceParent: traceParent(ctx),
	})
	if err != nil {
		return Published{}, err
	}
	made := published[0]
	return Published{ID: made.ID, Duplicate: made.Duplicate, Deliveries: refsOf(made.Deliveries)}, made.Err
}

// publishBatch publishes those of all that are not refused, and answers for each.
func (s *server) publishBatch(ctx context.Context, all []incoming, key string) (PublishedBatch, error) {
	batch := ingest.Batch{Tenant: tenantOf(ctx), Key: key, TraceParent: traceParent(ctx)}
	answers := make([]ingest.Published, len(all))
	var places []int
	for place, one := range all {
		if one.err != nil {
			answers[place] = ingest.Published{ID: one.event.ID, Err: one.err}
			continue
		}
		batch.Events, places = append(batch.Events, one.event), append(places, place)
	}
	published, err := s.Ingester.PublishBatch(ctx, batch)
	if err != nil {
		return PublishedBatch{}, err
	}
	for i, made := range published {
		answers[places[i]] = made
	}
	results := make([]EventResult, len(answers))
	for i, made := range answers {
		results[i] = EventResult{ID: made.ID, Duplicate: made.Duplicate, Deliveries: refsOf(made.Deliveries)}
		if made.Err != nil {
			results[i].Error = s.eventError(ctx, made.Err)
		}
	}
	return PublishedBatch{Data: results}, nil
}

// within says of a field of one event which field of the batch it is.
func within(place int, err error) error {
	told, ok := errors.AsType[*postdate.Error](err)
	if !ok {
		return err
	}
	return &postdate.Error{Code: told.Code, Pointer: "/events/" + strconv.Itoa(place) + told.Pointer, Detail: told.Detail}
}

// eventError is err as a part of an answer. What we cannot explain is logged
// here, for the request as a whole is none that failed.
func (s *server) eventError(ctx context.Context, err error) *EventError {
	p := problemOf(err)
	if p.Code == internal {
		s.Log.ErrorContext(ctx, "an event of a batch was not published", "tenant", tenantOf(ctx), "error", err)
		p.Detail = "our own fault: try again"
	}
	return &EventError{Code: p.Code, Detail: p.Detail, Errors: p.Errors}
}

// GetEvent shows an event and where its deliveries stand.
func (s *server) GetEvent(ctx context.Context, r GetEventRequestObject) (GetEventResponseObject, error) {
	event, err := s.Deliveries.GetEvent(ctx, tenantOf(ctx), r.ID)
	if err != nil {
		return nil, err
	}
	m := event.Message
	deliveries := make([]EventDelivery, len(event.Deliveries))
	for i, d := range event.Deliveries {
		deliveries[i] = EventDelivery{ID: d.ID, Endpoint: d.Endpoint, State: d.State}
	}
	return GetEvent200JSONResponse{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Timestamp: m.Timestamp, CreatedAt: event.At, Data: m.Data,
		Deliveries: deliveries, Link: s.link(event.Execution),
	}, nil
}

// eventOf is the noun that body describes.
func eventOf(body Event) postdate.Event {
	return postdate.Event{
		ID:         body.ID,
		Type:       body.Type,
		Entity:     body.Entity,
		Data:       compact(body.Data),
		Timestamp:  utc(body.Timestamp),
		CloudEvent: body.Cloudevent,
	}
}

func refsOf(refs []postdate.DeliveryRef) []DeliveryRef {
	all := make([]DeliveryRef, len(refs))
	for i, ref := range refs {
		all[i] = DeliveryRef{ID: ref.ID, Endpoint: ref.Endpoint}
	}
	return all
}
