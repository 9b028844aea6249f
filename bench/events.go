package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// fanOut: events, as fast as they are accepted, each to so many endpoints.
// perMessage is how many events are published for each hundred messages that
// other scenarios send.
func fanOut(endpoints, perMessage int) func(context.Context, *stage) (*measured, error) {
	return func(ctx context.Context, s *stage) (*measured, error) {
		if err := s.postdate.subscribe(ctx, s.receiver.url, endpoints); err != nil {
			return nil, err
		}
		events := newItems(max(1, s.messages*perMessage/100), fmt.Sprintf("fan_out_%d", endpoints), s.receiver.url, time.Time{})
		m, err := s.begin()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := publishAll(ctx, topic{s.postdate}, s.clients, events); err != nil {
			return nil, err
		}
		deliveries := perEndpoint(events, endpoints)
		if err := s.receiver.wait(ctx, len(deliveries), start); err != nil {
			return nil, err
		}
		return s.finish(ctx, m, deliveries, start)
	}
}

// eventType is that of all events, and what all endpoints subscribe to.
const eventType = "payment_request.expired"

// subscribe registers endpoints, each with a path of its own on the receiver.
func (p *postdate) subscribe(ctx context.Context, receiver string, endpoints int) error {
	for i := range endpoints {
		body, err := json.Marshal(map[string]any{"url": receiver + strconv.Itoa(i), "event_types": []string{eventType}})
		if err != nil {
			return fmt.Errorf("write the endpoint: %w", err)
		}
		if err := p.call(ctx, http.MethodPost, p.url("/v1/endpoints", nil), http.StatusCreated, body, nil); err != nil {
			return err
		}
	}
	return nil
}

// topic publishes items as events, to whoever subscribed.
type topic struct{ *postdate }

func (t topic) publish(ctx context.Context, m *item) error {
	body, err := json.Marshal(map[string]any{"id": m.id, "type": eventType, "entity": m.entity, "data": payload})
	if err != nil {
		return fmt.Errorf("write the event: %w", err)
	}
	return t.call(ctx, http.MethodPost, t.url("/v1/events", nil), http.StatusAccepted, body, nil)
}

// perEndpoint is one item for each event and endpoint, as the receiver knows them.
func perEndpoint(events []*item, endpoints int) []*item {
	deliveries := make([]*item, 0, len(events)*endpoints)
	for _, event := range events {
		for i := range endpoints {
			delivery := *event
			delivery.id = event.id + "/" + strconv.Itoa(i)
			deliveries = append(deliveries, &delivery)
		}
	}
	return deliveries
}
