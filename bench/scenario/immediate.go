package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// immediate: messages that are due at once, as fast as they are accepted. The naive
// program is spared five of six, for it takes so long; that its database stays small
// is a kindness.
func immediate(ctx context.Context, r *run) (*report.Measured, error) {
	n := r.options.Messages
	if r.name == system.NaiveSQLite || r.name == system.NaivePostgres {
		n = max(min(n, 100), n/6)
	}
	messages := rig.NewMessages(n, "immediate", r.rig.Receiver.URL, time.Time{})
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	start := time.Now()
	if err := r.publishAll(ctx, r.system, messages); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(messages), start); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, messages, start)
}
