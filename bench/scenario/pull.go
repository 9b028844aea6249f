package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// pull: events without ids wait for an endpoint that is pulled from, all of them; then
// four consumers pull ten at a time, and acknowledge them. A message has arrived when its
// acknowledgement is answered. Delivered/s counts from the first pull.
func pull(ctx context.Context, r *run) (*report.Measured, error) {
	const clients, consumers, perPull = 8, 4, 10
	endpoint, err := r.postdate.Register(ctx, map[string]any{"pull": true, "event_types": []string{eventType}})
	if err != nil {
		return nil, err
	}
	events := rig.NewMessages(r.options.Messages, "pull", r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	to := system.Events{Postdate: r.postdate, Type: eventType}
	if err := rig.InParallel(ctx, clients, system.Batches(events), to.PublishBatch); err != nil {
		return nil, err
	}
	for waiting := 0; waiting < len(events); {
		if err := rig.Sleep(ctx, 100*time.Millisecond); err != nil {
			return nil, err
		}
		if waiting, err = r.postdate.Waiting(ctx, endpoint); err != nil {
			return nil, err
		}
	}
	start := time.Now()
	err = rig.InParallel(ctx, consumers, make([]system.Consumer, consumers), func(ctx context.Context, c system.Consumer) error {
		for r.rig.Receiver.Count() < len(events) {
			if err := c.Consume(ctx, r.postdate, endpoint, perPull, r.rig.Receiver.Arrive); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return r.finish(ctx, m, events, start)
}
