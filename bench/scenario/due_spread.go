package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// dueSpread: a burst, but with a spread, so that the messages do not all come at once.
func dueSpread(ctx context.Context, r *run) (*report.Measured, error) {
	const perMessage = 20 * time.Millisecond // 3,000 are spread over a minute
	n := r.options.Messages
	due, err := r.instant(ctx, n)
	if err != nil {
		return nil, err
	}
	spread := system.Spread{Postdate: r.postdate, Due: due, Over: perMessage * time.Duration(n)}
	messages := rig.NewMessages(n, "due_spread", r.rig.Receiver.URL, due)
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	if err := r.publishAll(ctx, spread, messages); err != nil {
		return nil, err
	}
	if err := m.IdleUntil(ctx, due); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, n, due.Add(spread.Over)); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, messages, due)
}
