package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// maxSampled is how many schedules are changed at most: with a million, to change all
// would take hours.
const maxSampled = 5000

// sampled returns a tenth of messages, or maxSampled, evenly over all. offset, from 0
// to 1, moves each towards the next.
func sampled(messages []*rig.Message, offset float64) []*rig.Message {
	n := min(maxSampled, max(1, len(messages)/10))
	sample := make([]*rig.Message, n)
	for i := range sample {
		sample[i] = messages[int((float64(i)+offset)*float64(len(messages))/float64(n))]
	}
	return sample
}

// reschedule makes some due a day later.
func (p *pendingRun) reschedule(ctx context.Context) error {
	sample := sampled(p.schedules, 0)
	perSecond, cpuMS, err := p.change(ctx, sample, func(ctx context.Context, m *rig.Message) error {
		return p.postdate.Reschedule(ctx, m, m.Due.Add(24*time.Hour))
	})
	f := &p.figures
	f.Rescheduled, f.RescheduledPerS, f.CPUMSPerReschedule = len(sample), perSecond, cpuMS
	return err
}

// cancel cancels others; the rest stays.
func (p *pendingRun) cancel(ctx context.Context) error {
	sample := sampled(p.schedules, 0.5)
	perSecond, cpuMS, err := p.change(ctx, sample, p.postdate.Cancel)
	if err != nil {
		return err
	}
	rss, err := p.postdate.Memory()
	f := &p.figures
	f.Cancelled, f.CancelledPerS, f.CPUMSPerCancel, f.RSSCancelledMB = len(sample), perSecond, cpuMS, report.Mebibytes(rss)
	return err
}

// change changes each of sample, and returns how many change a second and the CPU
// time of each.
func (p *pendingRun) change(ctx context.Context, sample []*rig.Message, change func(context.Context, *rig.Message) error) (perSecond, cpuMS float64, err error) {
	m, err := p.startMeter()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	if err := rig.InParallel(ctx, p.options.System.Clients, sample, change); err != nil {
		return 0, 0, err
	}
	perSecond = report.PerSecond(len(sample), time.Since(start))
	err = m.Pause(ctx)
	return perSecond, report.MillisEach(m.CPU(), len(sample)), err
}
