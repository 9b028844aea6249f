package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// leadOf is how long before their first tick n recurring schedules have been created: a minute,
// and the time to start what is started ahead of a tick, at the rate that many have a quarter
// of an hour for.
func leadOf(n int) time.Duration {
	return min(time.Minute+time.Duration(n)*90*time.Millisecond, 16*time.Minute)
}

// recurrences is recurring schedules that all have the same ticks. With kill, the process
// is killed and started again when the first of them is half sent.
type recurrences struct {
	ticks int
	kill  bool
}

func (s recurrences) run(ctx context.Context, r *run) (*report.Measured, error) {
	n := r.options.Messages
	first, err := r.instant(ctx, n)
	if err != nil {
		return nil, err
	}
	to := system.Recurring{
		// Ticks are minutes apart or more, and so is the first one from its creation.
		Postdate: r.postdate, First: first.Add(leadOf(n)).Truncate(time.Second), Ticks: s.ticks,
		// The next tick comes when the last has been sent, also after a crash.
		Every: (time.Minute + time.Duration(n)*20*time.Millisecond).Round(time.Second),
	}
	recurring := rig.NewMessages(n, "recurring", r.rig.Receiver.URL, time.Time{})
	if err := r.publishAll(ctx, to, recurring); err != nil {
		return nil, err
	}
	ticks := to.Due(recurring)
	if s.kill {
		return s.crash(ctx, r, to.First, ticks)
	}
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	if err := m.IdleUntil(ctx, to.First); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, n, to.First); err != nil {
		return nil, err
	}
	return r.finish(ctx, m, ticks, to.First)
}

// crash kills the process when the first tick is half sent. All others are waited for.
func (recurrences) crash(ctx context.Context, r *run, first time.Time, ticks []*rig.Message) (*report.Measured, error) {
	if err := rig.Sleep(ctx, time.Until(first.Add(afterBurst))); err != nil {
		return nil, err
	}
	if err := r.killAndStart(ctx); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(ticks), ticks[len(ticks)-1].Due); err != nil {
		return nil, err
	}
	return &report.Measured{Messages: ticks, Since: first}, r.rig.Receiver.Note(ticks)
}
