package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// mostSampled is how many schedules are changed at most: with a million, all
// would take hours.
const mostSampled = 5000

// sampled is a tenth of items, or mostSampled, evenly over all from the one at
// offset on: a part of the way to the next.
func sampled(items []*item, offset float64) []*item {
	n := min(mostSampled, max(1, len(items)/10))
	sample := make([]*item, n)
	for i := range sample {
		sample[i] = items[int((float64(i)+offset)*float64(len(items))/float64(n))]
	}
	return sample
}

// rescheduleSome puts some off by a day.
func rescheduleSome(ctx context.Context, s *stage, got *measured) error {
	sample := sampled(got.items, 0)
	rate, cpu, err := s.changing(ctx, sample, s.postdate.putOff)
	got.Rescheduled, got.RescheduledPerS, got.CPUMSPerReschedule = len(sample), rate, cpu
	return err
}

// cancelSome cancels others; the rest stays.
func cancelSome(ctx context.Context, s *stage, got *measured) error {
	sample := sampled(got.items, 0.5)
	rate, cpu, err := s.changing(ctx, sample, s.postdate.cancel)
	if err != nil {
		return err
	}
	got.Cancelled, got.CancelledPerS, got.CPUMSPerCancel = len(sample), rate, cpu
	rss, err := memory(s.child.pid, rssNow)
	got.RSSCancelledMB = mebibytes(rss)
	return err
}

// changing is how many of items change a second, and the CPU time of each.
func (s *stage) changing(ctx context.Context, items []*item, change func(context.Context, *item) error) (rate, cpuMS float64, err error) {
	m, err := s.begin()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := inParallel(ctx, s.clients, items, change); err != nil {
		return 0, 0, err
	}
	rate = perSecond(len(items), time.Since(start))
	err = m.pause(ctx)
	return rate, each(m.cpu, len(items)), err
}

// putOff makes m due a day later, and sees that it is.
func (p *postdate) putOff(ctx context.Context, m *item) error {
	later := m.due.Add(24 * time.Hour)
	body, err := json.Marshal(map[string]time.Time{"due_at": later.UTC()})
	if err != nil {
		return fmt.Errorf("write the change: %w", err)
	}
	var changed schedule
	if err := p.call(ctx, http.MethodPatch, p.url("/v1/schedules/"+m.id, nil), http.StatusOK, body, &changed); err != nil {
		return err
	}
	if !changed.DueAt.Equal(later) {
		return fmt.Errorf("put off to %s, it is due at %s", later.UTC(), changed.DueAt)
	}
	m.due = later
	return nil
}
