package pull

import (
	"context"
	"sync"
	"time"
)

// combiner has calls for the same key travel together: while one is under way the next
// gather, as databases commit in groups. The first of them waits for gatherTime.
type combiner[K comparable, I, R any] struct {
	do func(ctx context.Context, key K, items []I) ([]R, error)

	mu      sync.Mutex
	waiting map[K][]*call[I, R] // a key without calls has one under way
}

// call is one caller's items.
type call[I, R any] struct {
	items   []I
	results []R
	err     error
	done    chan struct{}
}

func newCombiner[K comparable, I, R any](do func(context.Context, K, []I) ([]R, error)) *combiner[K, I, R] {
	return &combiner[K, I, R]{do: do, waiting: make(map[K][]*call[I, R])}
}

// call returns the results of items, in their order. They are sent even if the caller goes.
func (c *combiner[K, I, R]) call(ctx context.Context, key K, items []I) ([]R, error) {
	own := &call[I, R]{items: items, done: make(chan struct{})}
	c.mu.Lock()
	_, underWay := c.waiting[key]
	c.waiting[key] = append(c.waiting[key], own)
	c.mu.Unlock()
	if !underWay {
		go c.flush(context.WithoutCancel(ctx), key) // it serves other callers too
	}
	select {
	case <-own.done:
		return own.results, own.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// flush sends what gathers until nothing does.
func (c *combiner[K, I, R]) flush(ctx context.Context, key K) {
	for {
		time.Sleep(gatherTime)
		c.mu.Lock()
		calls := c.waiting[key]
		if len(calls) == 0 {
			delete(c.waiting, key)
			c.mu.Unlock()
			return
		}
		c.waiting[key] = nil
		c.mu.Unlock()
		var items []I
		for _, one := range calls {
			items = append(items, one.items...)
		}
		results, err := c.do(ctx, key, items)
		for _, one := range calls {
			if one.err = err; err == nil {
				one.results, results = results[:len(one.items)], results[len(one.items):]
			}
			close(one.done)
		}
	}
}
