package scenario

import (
	"context"
	"fmt"

	"github.com/postdate/postdate/bench/report"
)

// inSteps measures what is done, one step after another, with messages that are due in a
// year: none may come.
func (r *run) inSteps(ctx context.Context, measured *report.Measured, steps ...func(context.Context) error) (*report.Measured, error) {
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return nil, err
		}
		peak, err := r.postdate.PeakMemory()
		if err != nil {
			return nil, err
		}
		measured.PeakMemory = max(measured.PeakMemory, peak)
	}
	if n := r.rig.Receiver.Count(); n > 0 {
		return nil, fmt.Errorf("early: %d messages came a year before their time", n)
	}
	return measured, nil
}

// sizeOfEmpty measures the data folder, in bytes, while nothing is pending.
func (r *run) sizeOfEmpty(ctx context.Context) (size int64, err error) {
	err = r.restart(ctx, func() error {
		size, err = folderSize(r.rig.Dir)
		return err
	})
	if err != nil {
		return 0, err
	}
	return size, r.warmUp(ctx, "warm-again")
}
