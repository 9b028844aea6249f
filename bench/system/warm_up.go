package system

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// WarmUp fills caches, connections and code paths before anything is measured, and
// returns when the system is quiet again. The messages' ids begin with prefix.
func WarmUp(ctx context.Context, s System, c Config, prefix string) error {
	const n = 200
	r, err := rig.StartReceiver(ctx)
	if err != nil {
		return err
	}
	defer r.Stop()
	messages := rig.NewMessages(n, prefix, r.URL, time.Time{})
	if f, ok := s.(*floor); ok {
		measured := f.receiver
		f.receiver = r
		defer func() { f.receiver = measured }()
	}
	if err := rig.PublishAll(ctx, s, c.Clients, messages); err != nil {
		return err
	}
	if b, ok := s.(*batchJob); ok {
		if err := b.scanAt(ctx, time.Now()); err != nil {
			return err
		}
	}
	if err := r.Wait(ctx, n, time.Now()); err != nil {
		return err
	}
	return rig.WaitQuiet(ctx, s.Processes())
}

// Aim prepares a system that looks for due messages at intervals, and returns when
// the first message that is due at that time can arrive.
func Aim(ctx context.Context, s System, due time.Time) (time.Time, error) {
	if b, ok := s.(*batchJob); ok {
		return b.aim(ctx, due)
	}
	return due, nil
}
