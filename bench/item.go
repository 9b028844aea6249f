package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// item is one message: when it was to happen and when it did.
type item struct {
	id, entity string
	url        string
	due        time.Time // zero: at once
	// sent is when its request began or, at a fixed pace, when it was to begin:
	// a bench that falls behind must not hide it.
	sent, accepted time.Time
	received       time.Time
	copies         int
}

func (m *item) String() string { return m.id }

// newItems makes n messages to url.
func newItems(n int, prefix, url string, due time.Time) []*item {
	items := make([]*item, n)
	for i := range items {
		items[i] = &item{
			id:     fmt.Sprintf("%s-%d", prefix, i),
			entity: fmt.Sprintf("%s_customer_%d", prefix, i%entities),
			url:    url,
			due:    due,
		}
	}
	return items
}

// entities is how many customers the messages are spread over.
const entities = 1000

// inMS is the time in so long, in whole milliseconds: what a caller would write.
func inMS(d time.Duration) time.Time { return time.Now().Add(d).Truncate(time.Millisecond) }

// contender is what messages are handed to.
type contender interface {
	// publish returns once the engine answers for the message.
	publish(ctx context.Context, m *item) error
}

// publishAll hands items over from so many clients at once, each as fast as it is answered.
func publishAll(ctx context.Context, e contender, clients int, items []*item) error {
	return inParallel(ctx, clients, items, func(ctx context.Context, m *item) error {
		m.sent = time.Now()
		err := e.publish(ctx, m)
		m.accepted = time.Now()
		return err
	})
}

// inParallel does act to each item, from so many goroutines, until one fails.
func inParallel[T fmt.Stringer](ctx context.Context, n int, items []T, act func(context.Context, T) error) error {
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

// stopped says why ctx ended; nil if it did not.
func stopped(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return fmt.Errorf("stopped: %w", err)
	}
	return nil
}

// publishAtPace hands over one item every interval from start on, whatever
// became of those before.
func publishAtPace(ctx context.Context, e contender, start time.Time, interval time.Duration, items []*item) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var under sync.WaitGroup
	for i, m := range items {
		m.sent = start.Add(time.Duration(i) * interval)
		select {
		case <-time.After(time.Until(m.sent)):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			break
		}
		under.Go(func() {
			if err := e.publish(ctx, m); err != nil {
				cancel(fmt.Errorf("%s: %w", m, err))
			}
			m.accepted = time.Now()
		})
	}
	under.Wait()
	return stopped(ctx)
}
