package main

import (
	"context"
	"errors"
	"time"
)

// scenario is one way to use Postdate, and so one row of the table.
type scenario struct {
	name   string
	rivals []string // who does it too, in rounds
	run    func(context.Context, *stage) (*measured, error)
}

var scenarios = []scenario{
	{"immediate", []string{naiveEngine, floorEngine}, immediate},
	{"due_at_once", []string{naiveEngine}, dueAtOnce},
	{"due_spread", nil, dueSpread},
	{"due_in_2s", nil, dueIn2s},
	{"steady", nil, steady},
	{"fan_out_1", nil, fanOut{1, 100}.named},
	{"fan_out_20", nil, fanOut{20, 35}.named},
	{"fan_out_100", nil, fanOut{100, 10}.named},
	{"unnamed_1", nil, fanOut{1, 100}.unnamed},
	{"unnamed_20", nil, fanOut{20, 35}.unnamed},
	{"far_future", nil, farFuture},
	{"slow_crm", nil, slowCRM{workers: 1}.run},
	{"slow_crm_3", nil, slowCRM{workers: 3}.run},
	{"outage", nil, outage},
	{"rate_50", nil, rate50},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// immediate: as many messages as it takes, due at once, as fast as they are accepted.
func immediate(ctx context.Context, s *stage) (*measured, error) {
	items := newItems(s.messages, "immediate", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), start); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, start)
}

// dueAtOnce: many messages accepted beforehand, all due at one instant.
func dueAtOnce(ctx context.Context, s *stage) (*measured, error) {
	each, err := s.sleeper(ctx)
	if err != nil {
		return nil, err
	}
	due := inMS(5*time.Second + 2*each*time.Duration(s.messages))
	items := newItems(s.messages, "due_at_once", s.receiver.url, due)
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return nil, err
	}
	if err := m.idleUntil(ctx, due); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), due); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, due)
}

// idleUntil stops counting once the child is quiet, and goes on just before due.
func (m *meter) idleUntil(ctx context.Context, due time.Time) error {
	if err := m.pause(ctx); err != nil {
		return err
	}
	const lead = 200 * time.Millisecond
	if time.Until(due) < lead {
		return errors.New("it was still busy accepting when they came due: is the machine busy?")
	}
	if err := wait(ctx, time.Until(due)-lead); err != nil {
		return err
	}
	return m.start()
}

// sleeper is how long one message that sleeps keeps the child busy, with many
// clients at work: by this dueAtOnce knows how early it must begin.
func (s *stage) sleeper(ctx context.Context) (time.Duration, error) {
	const messages = 200
	items := newItems(messages, "sleeper", s.receiver.url, inMS(24*time.Hour))
	start := time.Now()
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return 0, err
	}
	if err := s.child.quiet(ctx); err != nil {
		return 0, err
	}
	return time.Since(start) / messages, nil
}

// dueIn2s: single messages on an idle machine, each due two seconds ahead.
func dueIn2s(ctx context.Context, s *stage) (*measured, error) {
	items := newItems(s.singles, "due_in_2s", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	for _, i := range items {
		i.due = inMS(2 * time.Second)
		if err := publishAll(ctx, s.engine, 1, []*item{i}); err != nil {
			return nil, err
		}
		// Not a whole second, so that they fall on every part of one.
		if err := wait(ctx, 1037*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := s.receiver.wait(ctx, len(items), items[len(items)-1].due); err != nil {
		return nil, err
	}
	got, err := s.finish(ctx, m, items, items[0].due)
	if err == nil {
		got.cpu = 0 // nearly all of it is idling
	}
	return got, err
}

// steady: 50 messages a second, every other one due two seconds ahead.
func steady(ctx context.Context, s *stage) (*measured, error) {
	const interval = time.Second / 50
	items := newItems(int(s.steady/interval), "steady", s.receiver.url, time.Time{})
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for n := 1; n < len(items); n += 2 {
		items[n].due = start.Add(time.Duration(n)*interval + 2*time.Second).Truncate(time.Millisecond)
	}
	if err := publishAtPace(ctx, s.engine, start, interval, items); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), start.Add(s.steady+2*time.Second)); err != nil {
		return nil, err
	}
	return s.finish(ctx, m, items, start)
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}
