package rig

import (
	"context"
	"fmt"
	"time"
)

// Probe publishes single messages while something else goes on: one every half
// second, due two seconds ahead. How late they are is what the others notice of it.
type Probe struct {
	receiver *Receiver
	messages []*Message
	stop     chan struct{} // closed when no more are to be sent
	sent     chan error    // how sending them ended
}

// StartProbe starts one. End stops it.
func StartProbe(ctx context.Context, to Publisher) (*Probe, error) {
	r, err := StartReceiver(ctx)
	if err != nil {
		return nil, err
	}
	p := &Probe{receiver: r, stop: make(chan struct{}), sent: make(chan error, 1)}
	go func() { p.sent <- p.send(ctx, to) }()
	return p, nil
}

func (p *Probe) send(ctx context.Context, to Publisher) error {
	const interval, ahead = time.Second / 2, 2 * time.Second
	next := time.NewTicker(interval)
	defer next.Stop()
	for n := 0; ; n++ {
		m := NewMessages(1, fmt.Sprintf("probe-%d", n), p.receiver.URL, In(ahead))[0]
		if err := to.Publish(ctx, m); err != nil {
			return fmt.Errorf("%s: %w", m, err)
		}
		p.messages = append(p.messages, m)
		select {
		case <-next.C:
		case <-p.stop:
			return nil
		case <-ctx.Done():
			return stopped(ctx)
		}
	}
}

// End sends no more, waits until all have arrived, and returns them.
func (p *Probe) End(ctx context.Context) ([]*Message, error) {
	defer p.receiver.Stop()
	close(p.stop)
	if err := <-p.sent; err != nil {
		return nil, err
	}
	if err := p.receiver.Wait(ctx, len(p.messages), p.messages[len(p.messages)-1].Due); err != nil {
		return nil, err
	}
	return p.messages, p.receiver.Note(p.messages)
}
