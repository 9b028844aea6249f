package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// eventType is that of the events that a receiver takes at once.
const eventType = "payment_request.expired"

// fanOut is events, as fast as they are accepted, each to so many endpoints.
type fanOut struct {
	endpoints int
	// percent is how many events are published for each hundred messages that other
	// scenarios send: slower ones get fewer.
	percent int
	// named events have ids of their caller's, and so an execution each. Others are
	// left to share executions.
	named bool
}

func (f fanOut) run(ctx context.Context, r *run) (*report.Measured, error) {
	if err := r.postdate.Subscribe(ctx, r.rig.Receiver.URL, eventType, f.endpoints); err != nil {
		return nil, err
	}
	events := rig.NewMessages(max(1, r.options.Messages*f.percent/100), fmt.Sprintf("fan_out_%d", f.endpoints), r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := r.publishAll(ctx, system.Events{Postdate: r.postdate, Type: eventType, Named: f.named}, events); err != nil {
		return nil, err
	}
	deliveries := rig.PerEndpoint(events, f.endpoints)
	if err := r.rig.Receiver.Wait(ctx, len(deliveries), start); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, deliveries, start)
}
