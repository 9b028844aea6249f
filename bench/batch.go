package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"
)

const (
	batchSize    = 100 // the most that the API takes
	batchClients = 8
	// batchTimes is how many events are published for each message that other
	// scenarios send: they are that much faster.
	batchTimes = 10
)

// batch: events without ids to one endpoint, a hundred in each request.
func batch(ctx context.Context, s *stage) (*measured, error) {
	if err := s.postdate.subscribe(ctx, s.receiver.url, 1); err != nil {
		return nil, err
	}
	events := newItems(s.messages*batchTimes, "batch", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := inParallel(ctx, batchClients, batchesOf(events), s.postdate.publishBatch); err != nil {
		return nil, err
	}
	deliveries := perEndpoint(events, 1)
	if err := s.receiver.wait(ctx, len(deliveries), start); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, deliveries, start)
}

// eventBatch is events that one request publishes.
type eventBatch []*item

func (b eventBatch) String() string { return fmt.Sprintf("%s and %d more", b[0], len(b)-1) }

func batchesOf(items []*item) []eventBatch {
	var batches []eventBatch
	for some := range slices.Chunk(items, batchSize) {
		batches = append(batches, some)
	}
	return batches
}

// publishBatch publishes b, and gives its items the ids that are answered.
func (p *postdate) publishBatch(ctx context.Context, b eventBatch) error {
	var asked struct {
		Events []event `json:"events"`
	}
	for _, m := range b {
		asked.Events = append(asked.Events, event{Type: eventType, Entity: m.entity, Data: payload})
	}
	body, err := json.Marshal(asked)
	if err != nil {
		return fmt.Errorf("write the events: %w", err)
	}
	var made struct {
		Data []struct {
			ID    string
			Error *struct{ Detail string }
		}
	}
	sent := time.Now()
	if err := p.call(ctx, http.MethodPost, p.url("/v1/events/batch", nil), http.StatusAccepted, body, &made); err != nil {
		return err
	}
	if len(made.Data) != len(b) {
		return fmt.Errorf("%d events were answered for %d", len(made.Data), len(b))
	}
	accepted := time.Now()
	for i, answer := range made.Data {
		if answer.Error != nil {
			return fmt.Errorf("the event %d was refused: %s", i, answer.Error.Detail)
		}
		b[i].id, b[i].sent, b[i].accepted = answer.ID, sent, accepted
	}
	return nil
}
