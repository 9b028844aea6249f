package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// burst is messages accepted beforehand that are all due at one instant: so many
// times those of other scenarios.
type burst struct {
	times int
	// unnamed messages get their ids from Postdate, and may share executions.
	unnamed bool
}

func (b burst) run(ctx context.Context, r *run) (*report.Measured, error) {
	n := r.options.Messages * b.times
	due, err := r.instant(ctx, n)
	if err != nil {
		return nil, err
	}
	messages := rig.NewMessages(n, "due_at_once", r.rig.Receiver.URL, due)
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	start, served := time.Now(), r.rig.Database.Statements(ctx)
	if err := r.publishAll(ctx, b.publisher(r), messages); err != nil {
		return nil, err
	}
	first, err := system.Aim(ctx, r.system, due)
	if err != nil {
		return nil, err
	}
	if err := m.IdleUntil(ctx, due); err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Wait(ctx, len(messages), first); err != nil {
		return nil, err
	}
	measured, err := r.finish(ctx, m, messages, due)
	if err != nil {
		return nil, err
	}
	measured.Statements = r.rig.Database.Statements(ctx) - served
	if r.postdate == nil {
		return measured, nil
	}
	carrier := system.Deliver
	if b.unnamed {
		carrier = system.ScheduleGroup
	}
	transitions, err := r.postdate.Transitions(ctx, start, carrier)
	measured.Transitions = transitions[carrier]
	return measured, err
}

// publisher is how the system that is measured takes the messages.
func (b burst) publisher(r *run) rig.Publisher {
	if b.unnamed && r.postdate != nil {
		return system.Unnamed{Postdate: r.postdate}
	}
	return r.system
}

// instant returns when n messages can all be due that are accepted from here on.
func (r *run) instant(ctx context.Context, n int) (time.Time, error) {
	each, err := r.acceptTime(ctx)
	return instantFor(n, each), err
}

// instantFor is when n messages can all be due of which each takes so long to accept.
func instantFor(n int, each time.Duration) time.Time {
	return rig.In(5*time.Second + each*time.Duration(n)*3/2)
}

// acceptTime returns how long a message that is not due keeps the system busy, with
// many clients at work.
func (r *run) acceptTime(ctx context.Context) (time.Duration, error) {
	const n = 200
	messages := rig.NewMessages(n, "tomorrow", r.rig.Receiver.URL, rig.In(24*time.Hour))
	start := time.Now()
	if err := r.publishAll(ctx, r.system, messages); err != nil {
		return 0, err
	}
	if err := r.system.Processes()[0].WaitQuiet(ctx); err != nil {
		return 0, err
	}
	return time.Since(start) / n, nil
}
