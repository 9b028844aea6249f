package rig

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// Publisher is what messages are handed to.
type Publisher interface {
	// Publish returns once the system answers for the message.
	Publish(ctx context.Context, m *Message) error
}

// PublishAll hands messages over from so many clients at once, each of which sends
// the next request when the last is answered.
func PublishAll(ctx context.Context, to Publisher, clients int, messages []*Message) error {
	return InParallel(ctx, clients, messages, func(ctx context.Context, m *Message) error {
		m.Sent = time.Now()
		err := to.Publish(ctx, m)
		m.Accepted = time.Now()
		return err
	})
}

// InParallel calls act for each item, from n goroutines, until one call fails.
func InParallel[T fmt.Stringer](ctx context.Context, n int, items []T, act func(context.Context, T) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var clients sync.WaitGroup
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(items) {
					return
				}
				if err := act(ctx, items[i]); err != nil {
					cancel(fmt.Errorf("%s: %w", items[i], err))
				}
			}
		})
	}
	clients.Wait()
	return stopped(ctx)
}

// PublishAtPace hands over one message every interval from start on, however long
// the answers to earlier ones take.
func PublishAtPace(ctx context.Context, to Publisher, start time.Time, interval time.Duration, messages []*Message) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var requests sync.WaitGroup
	for i, m := range messages {
		m.Sent = start.Add(time.Duration(i) * interval)
		if Sleep(ctx, time.Until(m.Sent)) != nil {
			break
		}
		requests.Go(func() {
			if err := to.Publish(ctx, m); err != nil {
				cancel(fmt.Errorf("%s: %w", m, err))
			}
			m.Accepted = time.Now()
		})
	}
	requests.Wait()
	return stopped(ctx)
}

// Sleep returns after d or, with the cause, when ctx ends.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return stopped(ctx)
	}
}

// stopped returns why ctx ended; nil if it did not.
func stopped(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	return nil
}
