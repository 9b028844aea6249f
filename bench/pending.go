package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// pending is what it costs to hold messages that are not due for long.
type pending struct {
	AcceptedPerSFirst      float64    `json:"accepted_per_s_first_tenth"`
	AcceptedPerSLast       float64    `json:"accepted_per_s_last_tenth"`
	CPUMSPerAccept         float64    `json:"cpu_ms_per_accept"`
	BytesOnDiskPerSchedule float64    `json:"bytes_on_disk_per_schedule"`
	RSSBeforeMB            float64    `json:"rss_before_mb"`
	RSSAfterMB             float64    `json:"rss_after_mb"`
	RSSRestartedMB         float64    `json:"rss_restarted_mb"`
	RestartS               float64    `json:"restart_s"`
	ListMS                 *quantiles `json:"list_ms"`
	ListByEntityMS         *quantiles `json:"list_by_entity_ms"`
	CancelledPerS          float64    `json:"cancelled_per_s"`
	CPUMSPerCancel         float64    `json:"cpu_ms_per_cancel"`
	RSSCancelledMB         float64    `json:"rss_cancelled_mb"`

	empty int64 // size of the data folder before
}

// farFuture: many schedules a year away. Accepted, restarted over, listed, cancelled.
func farFuture(ctx context.Context, s *stage) (*measured, error) {
	got := &measured{
		items:   newItems(s.pending, "far_future", s.receiver.url, inMS(365*24*time.Hour)),
		pending: &pending{},
	}
	for _, step := range []func(context.Context, *stage, *measured) error{weighEmpty, accept, restartOver, listAll, cancelAll} {
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
	if err := publishAll(ctx, s.engine, s.clients, got.items); err != nil {
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

// pageSize is how many schedules are asked for at once.
const pageSize = 200

// listAll walks through all pages, then asks for single entities.
func listAll(ctx context.Context, s *stage, got *measured) error {
	query := url.Values{"state": {"scheduled"}, "limit": {strconv.Itoa(pageSize)}}
	seen := make(map[string]bool, len(got.items))
	var times []time.Duration
	for more := true; more; {
		start := time.Now()
		page, err := s.postdate.list(ctx, query)
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		for _, listed := range page.Data {
			seen[listed.ID] = true
		}
		more = page.HasMore
		query.Set("cursor", page.NextCursor)
	}
	if len(seen) != len(got.items) {
		return fmt.Errorf("the list has %d of %d schedules", len(seen), len(got.items))
	}
	got.ListMS = quantilesOf(times)
	return listByEntity(ctx, s, got)
}

func listByEntity(ctx context.Context, s *stage, got *measured) error {
	expected := make(map[string]int, entities)
	for _, i := range got.items {
		expected[i.entity]++
	}
	var times []time.Duration
	for _, i := range got.items[:min(len(got.items), 100)] {
		start := time.Now()
		page, err := s.postdate.list(ctx, url.Values{"entity": {i.entity}, "limit": {strconv.Itoa(pageSize)}})
		if err != nil {
			return err
		}
		times = append(times, time.Since(start))
		if want := min(pageSize, expected[i.entity]); len(page.Data) != want {
			return fmt.Errorf("the list of %s has %d of %d schedules", i.entity, len(page.Data), want)
		}
	}
	got.ListByEntityMS = quantilesOf(times)
	return nil
}

// cancelAll cancels every one, and sees that none is left.
func cancelAll(ctx context.Context, s *stage, got *measured) error {
	m, err := s.begin()
	if err != nil {
		return err
	}
	start := time.Now()
	if err := inParallel(ctx, s.clients, got.items, s.postdate.cancel); err != nil {
		return err
	}
	got.CancelledPerS = perSecond(len(got.items), time.Since(start))
	if err := m.pause(ctx); err != nil {
		return err
	}
	got.CPUMSPerCancel = each(m.cpu, len(got.items))
	rss, err := memory(s.child.pid, rssNow)
	if err != nil {
		return err
	}
	got.RSSCancelledMB = mebibytes(rss)
	left, err := s.postdate.list(ctx, url.Values{"state": {"scheduled"}, "limit": {"1"}})
	if err == nil && len(left.Data) > 0 {
		err = fmt.Errorf("%s is still scheduled after all were cancelled", left.Data[0].ID)
	}
	return err
}

func (r *result) write(w io.Writer) {
	p := r.pending
	fmt.Fprintf(w, "\n%s, %s: %d schedules a year away\n", r.Scenario, r.Engine, r.Messages)
	fmt.Fprintf(w, "  accepted/s: %.0f in the first tenth, %.0f in the last; %.2f CPU ms each\n", p.AcceptedPerSFirst, p.AcceptedPerSLast, p.CPUMSPerAccept)
	fmt.Fprintf(w, "  on disk: %.0f bytes each\n", p.BytesOnDiskPerSchedule)
	fmt.Fprintf(w, "  memory in MiB: %.0f before, %.0f after, %.0f started again, %.0f with all cancelled\n", p.RSSBeforeMB, p.RSSAfterMB, p.RSSRestartedMB, p.RSSCancelledMB)
	fmt.Fprintf(w, "  start on them: %.1f s until ready\n", p.RestartS)
	fmt.Fprintf(w, "  a page of %d: %.0f ms p50, %.0f ms p99; of one entity: %.0f ms p50, %.0f ms p99\n", pageSize, p.ListMS.P50, p.ListMS.P99, p.ListByEntityMS.P50, p.ListByEntityMS.P99)
	fmt.Fprintf(w, "  cancelled/s: %.0f; %.2f CPU ms each\n", p.CancelledPerS, p.CPUMSPerCancel)
}
