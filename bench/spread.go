package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// spreadEach is what each message adds to the spread: 3,000 are spread over a minute.
const spreadEach = 20 * time.Millisecond

// spreading is a postdate whose schedules are all due at one instant, and spread.
type spreading struct {
	*postdate

	due    time.Time
	spread time.Duration
}

// publish also notes when the message is truly due: m is held to that.
func (p *spreading) publish(ctx context.Context, m *item) error {
	body, err := json.Marshal(struct {
		schedule

		Spread string `json:"spread"`
	}{
		schedule{ID: m.id, Entity: m.entity, Type: "payment_request.due", Data: payload, To: destination{m.url}, DueAt: p.due.UTC()},
		p.spread.String(),
	})
	if err != nil {
		return fmt.Errorf("write the schedule: %w", err)
	}
	var made schedule
	if err := p.call(ctx, http.MethodPost, p.url("/v1/schedules", nil), http.StatusCreated, body, &made); err != nil {
		return err
	}
	if made.DueAt.Before(p.due) || !made.DueAt.Before(p.due.Add(p.spread)) {
		return fmt.Errorf("moved to %s: that is not within %s from %s", made.DueAt, p.spread, p.due.UTC())
	}
	m.due = made.DueAt
	return nil
}

// dueSpread: a stampede, but with a spread, so that they do not come all at once.
func dueSpread(ctx context.Context, s *stage) (*measured, error) {
	due, err := s.instant(ctx, s.messages)
	if err != nil {
		return nil, err
	}
	p := &spreading{s.postdate, due, spreadEach * time.Duration(s.messages)}
	items := newItems(s.messages, "due_spread", s.receiver.url, due)
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	if err := publishAll(ctx, p, s.clients, items); err != nil {
		return nil, err
	}
	if err := m.idleUntil(ctx, due); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), due.Add(p.spread)); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, due)
}
