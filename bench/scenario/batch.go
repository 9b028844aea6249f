package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// batch: events without ids to one endpoint, a hundred in each request. They are ten
// times as many as the messages of other scenarios, for they are that much faster.
func batch(ctx context.Context, r *run) (*report.Measured, error) {
	const times, clients = 10, 8
	if err := r.postdate.Subscribe(ctx, r.rig.Receiver.URL, eventType, 1); err != nil {
		return nil, err
	}
	events := rig.NewMessages(r.options.Messages*times, "batch", r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	to := system.Events{Postdate: r.postdate, Type: eventType}
	if err := rig.InParallel(ctx, clients, system.Batches(events), to.PublishBatch); err != nil {
		return nil, err
	}
	deliveries := rig.PerEndpoint(events, 1)
	if err := r.rig.Receiver.Wait(ctx, len(deliveries), start); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, deliveries, start)
}
