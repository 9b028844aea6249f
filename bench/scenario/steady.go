package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// steady: 50 messages a second, every other one due two seconds ahead.
func steady(ctx context.Context, r *run) (*report.Measured, error) {
	const interval, ahead = time.Second / 50, 2 * time.Second
	messages := rig.NewMessages(int(r.options.Steady/interval), "steady", r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	for n := 1; n < len(messages); n += 2 {
		messages[n].Due = start.Add(time.Duration(n)*interval + ahead).Truncate(time.Millisecond)
	}
	if err := rig.PublishAtPace(ctx, r.system, start, interval, messages); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(messages), start.Add(r.options.Steady+ahead)); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, messages, start)
}
