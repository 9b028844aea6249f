package main

import (
	"context"
	"errors"
	"time"
)

// stampede is messages accepted beforehand that are all due at one instant: so
// many times those of other scenarios.
type stampede struct{ times int }

func (t stampede) run(ctx context.Context, s *stage) (*measured, error) {
	n := s.messages * t.times
	due, err := s.instant(ctx, n)
	if err != nil {
		return nil, err
	}
	items := newItems(n, "due_at_once", s.receiver.url, due)
	m, err := s.begin()
	if err != nil {
		return nil, err
	}
	start, served := time.Now(), s.statements(ctx)
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return nil, err
	}
	next, err := s.aim(ctx, due)
	if err != nil {
		return nil, err
	}
	if err := m.idleUntil(ctx, due); err != nil {
		return nil, err
	}
	if err := s.receiver.wait(ctx, len(items), next); err != nil {
		return nil, err
	}
	got, err := s.finish(ctx, m, items, due)
	if err != nil {
		return nil, err
	}
	got.statements = s.statements(ctx) - served
	if s.postdate != nil {
		const carrier = "Deliver" // of each schedule
		var sums map[string]float64
		sums, err = s.postdate.transitions(ctx, start, carrier)
		got.transitions = sums[carrier]
	}
	return got, err
}

// instant is when n messages can all be due that are accepted from now on.
func (s *stage) instant(ctx context.Context, n int) (time.Time, error) {
	each, err := s.sleeper(ctx)
	return inMS(5*time.Second + each*time.Duration(n)*3/2), err
}

// sleeper is how long one message that sleeps keeps the child busy, with many
// clients at work.
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
