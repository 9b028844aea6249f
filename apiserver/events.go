package apiserver

import (
	"context"
	"errors"
	"slices"
	"strconv"

	"github.com/postdate/postdate/internal/ingest"

	"github.com/postdate/postdate"
)

// incoming is an event of a request, and the reason if it is refused.
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

// PublishEvents publishes several events. One that is refused does not hold up the others.
func (s *server) PublishEvents(ctx context.Context, r PublishEventsRequestObject) (PublishEventsResponseObject, error) {
	events := make([]incoming, len(r.Body.Events))
	for place, body := range r.Body.Events {
		event := eventOf(body)
		events[place] = incoming{event: event, err: within(place, event.Validate())}
	}
	published, err := s.publishBatch(ctx, events, r.Params.IdempotencyKey)
	if err != nil {
		return nil, err
	}
	return PublishEvents202JSONResponse(published), nil
}

// publish publishes one event.
func (s *server) publish(ctx context.Context, in incoming, key string) (Published, error) {
	if in.err != nil {
		return Published{}, in.err
	}
	published, err := s.publishAll(ctx, ingest.Batch{
		Tenant: tenantOf(ctx), Events: []postdate.Event{in.event}, Key: key, TraceParent: traceParent(ctx),
		Limited: true,
	})
	if err != nil {
		return Published{}, err
	}
	result := published[0]
	return Published{ID: result.ID, Duplicate: result.Duplicate, Deliveries: refsOf(result.Deliveries)}, result.Err
}

// publishAll publishes a batch, and measures that it makes too many deliveries. The other
// quotas are measured where they refuse.
func (s *server) publishAll(ctx context.Context, batch ingest.Batch) ([]ingest.Published, error) {
	published, err := s.Ingester.PublishBatch(ctx, batch)
	if slices.ContainsFunc(published, func(p ingest.Published) bool { return postdate.CodeOf(p.Err) == postdate.QuotaDeliveries }) {
		s.Quotas.CountRefusal(ctx, batch.Tenant, postdate.QuotaDeliveries)
	}
	return published, err
}

// publishBatch publishes the events that are not refused, and returns a result for each.
func (s *server) publishBatch(ctx context.Context, events []incoming, key string) (PublishedBatch, error) {
	batch := ingest.Batch{Tenant: tenantOf(ctx), Key: key, TraceParent: traceParent(ctx), Limited: true}
	answers := make([]ingest.Published, len(events))
	var places []int
	for place, in := range events {
		if in.err != nil {
			answers[place] = ingest.Published{ID: in.event.ID, Err: in.err}
			continue
		}
		batch.Events, places = append(batch.Events, in.event), append(places, place)
	}
	published, err := s.publishAll(ctx, batch)
	if err != nil {
		return PublishedBatch{}, err
	}
	if err := allRefused(published, len(events)); err != nil {
		return PublishedBatch{}, err
	}
	for i, result := range published {
		answers[places[i]] = result
	}
	results := make([]EventResult, len(answers))
	for i, result := range answers {
		results[i] = EventResult{ID: result.ID, Duplicate: result.Duplicate, Deliveries: refsOf(result.Deliveries)}
		if result.Err != nil {
			results[i].Error = s.eventError(ctx, result.Err)
		}
	}
	return PublishedBatch{Data: results}, nil
}

// allRefused is why each of so many events was refused, where that is what the tenant has
// already, or the backlog.
func allRefused(published []ingest.Published, events int) error {
	if len(published) < events || events == 0 {
		return nil
	}
	for _, result := range published {
		if !postdate.CodeOf(result.Err).IsRefusal() {
			return nil
		}
	}
	return published[0].Err
}

// within points an error about a field of one event to the field in the batch.
func within(place int, err error) error {
	refusal, ok := errors.AsType[*postdate.Error](err)
	if !ok {
		return err
	}
	return &postdate.Error{Code: refusal.Code, Pointer: "/events/" + strconv.Itoa(place) + refusal.Pointer, Detail: refusal.Detail}
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
	data, encoded, came := shownData(m)
	return GetEvent200JSONResponse{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Timestamp: m.Timestamp, CreatedAt: event.At, Data: data, DataBase64: encoded, Inbound: came,
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
