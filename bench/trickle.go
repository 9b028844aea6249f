package main

import (
	"context"
	"fmt"
	"time"
)

// trickle is single messages while something else goes on: one every half
// second, due two seconds ahead.
type trickle struct {
	receiver *receiver
	items    []*item
	ended    chan struct{} // closed when no more are to be sent
	sent     chan error    // tells how sending them went
}

func startTrickle(ctx context.Context, e contender) (*trickle, error) {
	r, err := startReceiver(ctx)
	if err != nil {
		return nil, err
	}
	t := &trickle{receiver: r, ended: make(chan struct{}), sent: make(chan error, 1)}
	go func() { t.sent <- t.send(ctx, e) }()
	return t, nil
}

func (t *trickle) send(ctx context.Context, e contender) error {
	const interval, ahead = time.Second / 2, 2 * time.Second
	next := time.NewTicker(interval)
	defer next.Stop()
	for n := 0; ; n++ {
		m := newItems(1, fmt.Sprintf("meanwhile-%d", n), t.receiver.url, inMS(ahead))[0]
		if err := e.publish(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		t.items = append(t.items, m)
		select {
		case <-next.C:
		case <-t.ended:
			return nil
		case <-ctx.Done():
			return stopped(ctx)
		}
	}
}

// end sends no more, waits until all have come, and says how late they were.
func (t *trickle) end(ctx context.Context) (*quantiles, error) {
	defer t.receiver.stop()
	close(t.ended)
	if err := <-t.sent; err != nil {
		return nil, err
	}
	if err := t.receiver.wait(ctx, len(t.items), t.items[len(t.items)-1].due); err != nil {
		return nil, err
	}
	if err := t.receiver.note(t.items); err != nil {
		return nil, err
	}
	return latenessOf(t.items), nil
}
