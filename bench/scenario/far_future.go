package scenario

import (
	"context"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// pendingRun is schedules that are due in a year, and what is measured of them.
type pendingRun struct {
	*run

	schedules []*rig.Message
	figures   report.Pending
	emptySize int64 // of the data folder, in bytes, before there were any
}

// farFuture: many schedules a year away. They are accepted, the process is restarted,
// they are listed, and some are rescheduled or cancelled.
func farFuture(ctx context.Context, r *run) (*report.Measured, error) {
	p := &pendingRun{
		run:       r,
		schedules: rig.NewMessages(r.options.Pending, "far_future", r.rig.Receiver.URL, rig.In(365*24*time.Hour)),
		figures:   report.Pending{PageSize: pageSize},
	}
	return r.inSteps(ctx, &report.Measured{Messages: p.schedules, Pending: &p.figures},
		p.measureEmpty, p.accept, p.restartOver, p.listPages, p.listByEntity, p.reschedule, p.cancel)
}

func (p *pendingRun) measureEmpty(ctx context.Context) (err error) {
	p.emptySize, err = p.sizeOfEmpty(ctx)
	return err
}

// accept publishes the schedules. Whether it slows down as it fills shows in the
// first and the last tenth; what others notice, in a probe.
func (p *pendingRun) accept(ctx context.Context) error {
	before, err := p.postdate.Memory()
	if err != nil {
		return err
	}
	m, err := p.startMeter()
	if err != nil {
		return err
	}
	probe, err := rig.StartProbe(ctx, p.system)
	if err != nil {
		return err
	}
	err = p.publishAll(ctx, p.system, p.schedules)
	others, probeErr := probe.End(ctx)
	if err == nil {
		err = probeErr
	}
	if err != nil {
		return err
	}
	if err := m.Pause(ctx); err != nil {
		return err
	}
	after, err := p.postdate.Memory()
	if err != nil {
		return err
	}
	n := len(p.schedules)
	tenth := max(1, n/10)
	order := slices.SortedFunc(slices.Values(p.schedules), func(a, b *rig.Message) int { return a.Accepted.Compare(b.Accepted) })
	last := order[n-tenth:]
	p.figures.AcceptedPerSFirst = report.PerSecond(tenth, order[tenth-1].Accepted.Sub(order[0].Sent))
	p.figures.AcceptedPerSLast = report.PerSecond(tenth-1, last[tenth-1].Accepted.Sub(last[0].Accepted))
	p.figures.CPUMSPerAccept = report.MillisEach(m.CPU(), n)
	p.figures.OthersLatenessMS = report.LatenessOf(others)
	p.figures.RSSBeforeMB, p.figures.RSSAfterMB = report.Mebibytes(before), report.Mebibytes(after)
	return nil
}

// restartOver stops and starts the process: in between all that it holds is on disk.
func (p *pendingRun) restartOver(ctx context.Context) error {
	var stopped time.Time
	err := p.restart(ctx, func() error {
		stopped = time.Now()
		size, err := folderSize(p.rig.Dir)
		p.figures.BytesOnDiskPerSchedule = report.Hundredths(float64(size-p.emptySize) / float64(len(p.schedules)))
		return err
	})
	if err != nil {
		return err
	}
	p.figures.RestartS = report.Hundredths(time.Since(stopped).Seconds())
	if err := p.postdate.WaitQuiet(ctx); err != nil {
		return err
	}
	rss, err := p.postdate.Memory()
	p.figures.RSSRestartedMB = report.Mebibytes(rss)
	return err
}

// folderSize is how many bytes the files under dir hold.
func folderSize(dir string) (int64, error) {
	var size int64
	err := filepath.WalkDir(dir, func(_ string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return fmt.Errorf("measure %s: %w", entry.Name(), err)
		}
		size += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the data folder: %w", err)
	}
	return size, nil
}
