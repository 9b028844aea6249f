package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// fanOut is events, as fast as they are accepted, each to so many endpoints.
type fanOut struct {
	endpoints int
	// perMessage is how many events are published for each hundred messages that
	// other scenarios send.
	perMessage int
}

// named: each event has an id of its caller's, and so an execution of its own.
func (f fanOut) named(ctx context.Context, s *stage) (*measured, error) {
	return f.run(ctx, s, topic{s.postdate})
}

// unnamed: they are left to share executions.
func (f fanOut) unnamed(ctx context.Context, s *stage) (*measured, error) {
	return f.run(ctx, s, unnamedTopic{s.postdate})
}

func (f fanOut) run(ctx context.Context, s *stage, to contender) (*measured, error) {
	if err := s.postdate.subscribe(ctx, s.receiver.url, f.endpoints); err != nil {
		return nil, err
	}
	events := newItems(max(1, s.messages*f.perMessage/100), fmt.Sprintf("fan_out_%d", f.endpoints), s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := publishAll(ctx, to, s.clients, events); err != nil {
		return nil, err
	}
	deliveries := perEndpoint(events, f.endpoints)
	if err := s.receiver.wait(ctx, len(deliveries), start); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, deliveries, start)
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

// topic publishes items as events under their ids, to whoever subscribed.
type topic struct{ *postdate }

func (t topic) publish(ctx context.Context, m *item) error {
	_, err := t.publishEvent(ctx, event{ID: m.id, Type: eventType, Entity: m.entity, Data: payload})
	return err
}

// unnamedTopic leaves the ids to Postdate: items get those that it answers.
type unnamedTopic struct{ *postdate }

func (t unnamedTopic) publish(ctx context.Context, m *item) error {
	id, err := t.publishEvent(ctx, event{Type: eventType, Entity: m.entity, Data: payload})
	if err == nil {
		m.id = id
	}
	return err
}

type event struct {
	ID     string          `json:"id,omitempty"`
	Type   string          `json:"type"`
	Entity string          `json:"entity"`
	Data   json.RawMessage `json:"data"`
}

// publishEvent answers the id under which e was accepted.
func (p *postdate) publishEvent(ctx context.Context, e event) (string, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("write the event: %w", err)
	}
	var made struct{ ID string }
	err = p.call(ctx, http.MethodPost, p.url("/v1/events", nil), http.StatusAccepted, body, &made)
	return made.ID, err
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
