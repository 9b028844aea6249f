package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// dueIn2s: single messages on an idle machine, each due two seconds ahead.
func dueIn2s(ctx context.Context, r *run) (*report.Measured, error) {
	messages := rig.NewMessages(r.options.Singles, "due_in_2s", r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	for _, message := range messages {
		message.Due = rig.In(2 * time.Second)
		if err := rig.PublishAll(ctx, r.system, 1, []*rig.Message{message}); err != nil {
			return nil, err
		}
		// Not a whole second, so that they fall on every part of one.
		if err := rig.Sleep(ctx, 1037*time.Millisecond); err != nil {
			return nil, err
		}
	}
	if err := r.rig.Receiver.Wait(ctx, len(messages), messages[len(messages)-1].Due); err != nil {
		return nil, err
	}
	measured, err := r.finish(ctx, m, messages, messages[0].Due)
	if err == nil {
		measured.CPU = 0 // nearly all of it is idling
	}
	return measured, err
}
