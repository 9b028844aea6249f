package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"time"
)

// pending is what it costs to hold messages that are not due for long.
type pending struct {
	AcceptedPerSFirst      float64    `json:"accepted_per_s_first_tenth"`
	AcceptedPerSLast       float64    `json:"accepted_per_s_last_tenth"`
	CPUMSPerAccept         float64    `json:"cpu_ms_per_accept"`
	OthersLatenessMS       *quantiles `json:"others_lateness_ms"` // of messages that were due meanwhile
	BytesOnDiskPerSchedule float64    `json:"bytes_on_disk_per_schedule"`
	RSSBeforeMB            float64    `json:"rss_before_mb"`
	RSSAfterMB             float64    `json:"rss_after_mb"`
	RSSRestartedMB         float64    `json:"rss_restarted_mb"`
	RestartS               float64    `json:"restart_s"`
	ListPages              int        `json:"list_pages"`
	ListMS                 *quantiles `json:"list_ms"`
	ListByEntityMS         *quantiles `json:"list_by_entity_ms"`
	Rescheduled            int        `json:"rescheduled"`
	RescheduledPerS        float64    `json:"rescheduled_per_s"`
	CPUMSPerReschedule     float64    `json:"cpu_ms_per_reschedule"`
	Cancelled              int        `json:"cancelled"`
	CancelledPerS          float64    `json:"cancelled_per_s"`
	CPUMSPerCancel         float64    `json:"cpu_ms_per_cancel"`
	RSSCancelledMB         float64    `json:"rss_cancelled_mb"`

	empty int64 // size of the data folder before
}

// farFuture: many schedules a year away. Accepted, restarted over, listed, and
// some of them put off or cancelled.
func farFuture(ctx context.Context, s *stage) (*measured, error) {
	got := &measured{
		items:   newItems(s.pending, "far_future", s.receiver.url, inMS(365*24*time.Hour)),
		pending: &pending{},
	}
	steps := []func(context.Context, *stage, *measured) error{weighEmpty, accept, restartOver, listPages, rescheduleSome, cancelSome}
	for _, step := range steps {
		if err := step(ctx, s, got); err != nil {
			return nil, err
		}
		peak, err := memory(s.child.pid, rssPeak)
		if err != nil {
			return nil, err
		}
		got.peak = max(got.peak, peak)
	}
	if n := s.receiver.count(); n > 0 {
		return nil, fmt.Errorf("early: %d messages came a year before their time", n)
	}
	return got, nil
}

// weighEmpty sets the mark: how big the data folder is with nothing pending.
func weighEmpty(ctx context.Context, s *stage, got *measured) error {
	err := s.restart(ctx, func() error {
		var err error
		got.empty, err = folderSize(s.dir)
		return err
	})
	if err != nil {
		return err
	}
	return s.warmUp(ctx, "warm-again")
}

// accept fills the engine, and tells whether it slows down as it fills.
func accept(ctx context.Context, s *stage, got *measured) error {
	before, err := memory(s.child.pid, rssNow)
	if err != nil {
		return err
	}
	m, err := s.begin()
	if err != nil {
		return err
	}
	others, err := startTrickle(ctx, s.engine)
	if err != nil {
		return err
	}
	err = publishAll(ctx, s.engine, s.clients, got.items)
	var lateErr error
	if got.OthersLatenessMS, lateErr = others.end(ctx); err == nil {
		err = lateErr
	}
	if err != nil {
		return err
	}
	if err := m.pause(ctx); err != nil {
		return err
	}
	after, err := memory(s.child.pid, rssNow)
	if err != nil {
		return err
	}
	tenth := max(1, len(got.items)/10)
	order := slices.SortedFunc(slices.Values(got.items), func(a, b *item) int { return a.accepted.Compare(b.accepted) })
	last := order[len(order)-tenth:]
	got.AcceptedPerSFirst = perSecond(tenth, order[tenth-1].accepted.Sub(order[0].sent))
	got.AcceptedPerSLast = perSecond(tenth-1, last[tenth-1].accepted.Sub(last[0].accepted))
	got.CPUMSPerAccept = each(m.cpu, len(got.items))
	got.RSSBeforeMB, got.RSSAfterMB = mebibytes(before), mebibytes(after)
	return nil
}

// restartOver stops and starts the process: in between all that it holds is on disk.
func restartOver(ctx context.Context, s *stage, got *measured) error {
	var stopped time.Time
	err := s.restart(ctx, func() error {
		stopped = time.Now()
		size, err := folderSize(s.dir)
		got.BytesOnDiskPerSchedule = hundredths(float64(size-got.empty) / float64(len(got.items)))
		return err
	})
	if err != nil {
		return err
	}
	got.RestartS = hundredths(time.Since(stopped).Seconds())
	if err := s.child.quiet(ctx); err != nil {
		return err
	}
	rss, err := memory(s.child.pid, rssNow)
	got.RSSRestartedMB = mebibytes(rss)
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
			return fmt.Errorf("weigh %s: %w", entry.Name(), err)
		}
		size += info.Size()
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the data folder: %w", err)
	}
	return size, nil
}

func (r *result) write(w io.Writer) {
	p := r.pending
	fmt.Fprintf(w, "\n%s, %s: %d schedules a year away\n", r.Scenario, r.Engine, r.Messages)
	fmt.Fprintf(w, "  accepted/s: %.0f in the first tenth, %.0f in the last; %.2f CPU ms each\n", p.AcceptedPerSFirst, p.AcceptedPerSLast, p.CPUMSPerAccept)
	fmt.Fprintf(w, "  lateness of others meanwhile: %.0f ms p50, %.0f ms p99, %.0f ms at most\n", p.OthersLatenessMS.P50, p.OthersLatenessMS.P99, p.OthersLatenessMS.Max)
	fmt.Fprintf(w, "  on disk: %.0f bytes each\n", p.BytesOnDiskPerSchedule)
	fmt.Fprintf(w, "  memory in MiB: %.0f before, %.0f after, %.0f started again, %.0f with those cancelled\n", p.RSSBeforeMB, p.RSSAfterMB, p.RSSRestartedMB, p.RSSCancelledMB)
	fmt.Fprintf(w, "  start on them: %.1f s until ready\n", p.RestartS)
	fmt.Fprintf(w, "  a page of %d, through %d pages: %.0f ms p50, %.0f ms p99; of one entity: %.0f ms p50, %.0f ms p99\n", pageSize, p.ListPages, p.ListMS.P50, p.ListMS.P99, p.ListByEntityMS.P50, p.ListByEntityMS.P99)
	fmt.Fprintf(w, "  put off/s: %.0f; %.2f CPU ms each of %d\n", p.RescheduledPerS, p.CPUMSPerReschedule, p.Rescheduled)
	fmt.Fprintf(w, "  cancelled/s: %.0f; %.2f CPU ms each of %d\n", p.CancelledPerS, p.CPUMSPerCancel, p.Cancelled)
}
