package scenario

import (
	"context"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// tenants: all messages of a noisy tenant are due at one instant, and single ones of
// another from then on. The row is the other's.
func tenants(ctx context.Context, r *run) (*report.Measured, error) {
	const interval, lasts = 200 * time.Millisecond, 20 * time.Second
	due, err := r.instant(ctx, r.options.Messages)
	if err != nil {
		return nil, err
	}
	noisy := rig.NewMessages(r.options.Messages, "noisy", r.rig.Receiver.URL, due)
	others := rig.NewMessages(int(lasts/interval), "other", r.rig.Receiver.URL, due)
	for i, other := range others {
		other.Due = due.Add(time.Duration(i) * interval)
	}
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	if err := r.publishAll(ctx, r.postdate.As("noisy"), noisy); err != nil {
		return nil, err
	}
	if err := r.publishAll(ctx, r.postdate.As("other"), others); err != nil {
		return nil, err
	}
	if err := m.IdleUntil(ctx, due); err != nil {
		return nil, err
	}
	messages := slices.Concat(noisy, others)
	if err := r.rig.Receiver.Wait(ctx, len(messages), due.Add(lasts)); err != nil {
		return nil, err
	}
	measured, err := r.finish(ctx, m, messages, due)
	if err != nil {
		return nil, err
	}
	measured.NoisyTenant = report.NoisyTenantOf(noisy)
	measured.Messages = dueBefore(others, rig.LastReceived(noisy))
	measured.CPU = 0 // it is nearly all the noisy tenant's
	return measured, nil
}

// dueBefore returns those of messages that were due before end. Later ones were alone.
func dueBefore(messages []*rig.Message, end time.Time) []*rig.Message {
	var early []*rig.Message
	for _, m := range messages {
		if m.Due.Before(end) {
			early = append(early, m)
		}
	}
	return early
}
