package scenario

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
)

// importedRun is the lines of an import that are due in a year, and what is measured of them.
type importedRun struct {
	*run

	messages  []*rig.Message
	figures   report.Imported
	emptySize int64 // of the data folder, in bytes
}

// importName names the import.
const importName = "bench"

// imported: many schedules without ids are imported, due in a year at one instant. They are
// sent again, counted, put off and cancelled as one.
func imported(ctx context.Context, r *run) (*report.Measured, error) {
	i := &importedRun{
		run: r, messages: rig.NewMessages(r.options.Pending, "imported", r.rig.Receiver.URL, rig.In(365*24*time.Hour).Truncate(time.Second)),
	}
	return r.inSteps(ctx, &report.Measured{Messages: i.messages, Imported: &i.figures},
		i.measureEmpty, i.first, i.again, i.size, i.count, i.postpone, i.cancel, i.sizeCancelled)
}

func (i *importedRun) measureEmpty(ctx context.Context) (err error) {
	i.emptySize, err = i.sizeOfEmpty(ctx)
	return err
}

// first imports all lines, beside a probe.
func (i *importedRun) first(ctx context.Context) error {
	m, err := i.startMeter()
	if err != nil {
		return err
	}
	probe, err := rig.StartProbe(ctx, i.system)
	if err != nil {
		return err
	}
	start := time.Now()
	existed, err := i.postdate.Import(ctx, importName, i.messages)
	took := time.Since(start)
	others, probeErr := probe.End(ctx)
	switch {
	case err != nil:
		return err
	case probeErr != nil:
		return probeErr
	case existed > 0:
		return fmt.Errorf("%d lines existed before they were imported", existed)
	}
	if err := m.Pause(ctx); err != nil {
		return err
	}
	i.figures.ImportedPerS = report.PerSecond(len(i.messages), took)
	i.figures.CPUMSPerImported = m.CPU().Seconds() * 1000 / float64(len(i.messages))
	i.figures.ImportOthersMS = report.LatenessOf(others)
	return nil
}

// again sends the same lines, of which none may be made twice.
func (i *importedRun) again(ctx context.Context) error {
	repeated := rig.NewMessages(len(i.messages), "imported", i.rig.Receiver.URL, i.messages[0].Due)
	start := time.Now()
	existed, err := i.postdate.Import(ctx, importName, repeated)
	if err != nil {
		return err
	}
	i.figures.RepeatedPerS = report.PerSecond(len(repeated), time.Since(start))
	isSame := slices.EqualFunc(i.messages, repeated, func(a, b *rig.Message) bool { return a.ID == b.ID })
	if existed != len(repeated) || !isSame {
		return fmt.Errorf("of %d lines that were sent again %d existed, with the same ids: %t", len(repeated), existed, isSame)
	}
	return nil
}

// size measures the data folder with all of them, after a restart: then all is on disk.
func (i *importedRun) size(ctx context.Context) error {
	return i.restart(ctx, func() error {
		size, err := folderSize(i.rig.Dir)
		i.figures.BytesPerImported = report.Hundredths(float64(size-i.emptySize) / float64(len(i.messages)))
		return err
	})
}

func (i *importedRun) count(ctx context.Context) error {
	start := time.Now()
	if err := i.expect(ctx, "scheduled"); err != nil {
		return err
	}
	i.figures.CountImportMS = report.Hundredths(time.Since(start).Seconds() * 1000)
	return nil
}

// expect holds that all are in a state.
func (i *importedRun) expect(ctx context.Context, state string) error {
	states, err := i.postdate.CountImport(ctx, importName)
	if err == nil && (states[state] != len(i.messages) || len(states) != 1) {
		err = fmt.Errorf("%d are to be %s, and are %v", len(i.messages), state, states)
	}
	return err
}

func (i *importedRun) postpone(ctx context.Context) (err error) {
	i.figures.ImportPostponedS, i.figures.PostponedCPUS, err = i.operate(ctx, "postpone", map[string]string{"import": importName, "by": "24h"})
	if err != nil {
		return err
	}
	return i.expect(ctx, "scheduled")
}

func (i *importedRun) cancel(ctx context.Context) (err error) {
	i.figures.ImportCancelledS, i.figures.CancelledCPUS, err = i.operate(ctx, "cancel", map[string]string{"import": importName})
	if err != nil {
		return err
	}
	if err := rig.Sleep(ctx, 2*time.Second); err != nil { // lists are a little behind
		return err
	}
	return i.expect(ctx, "cancelled")
}

// operate does something to all, and returns how many seconds that took, and of CPU time.
func (i *importedRun) operate(ctx context.Context, action string, filter map[string]string) (seconds, cpu float64, err error) {
	m, err := i.startMeter()
	if err != nil {
		return 0, 0, err
	}
	start := time.Now()
	done, err := i.postdate.Operate(ctx, action, filter)
	if err == nil && done != len(i.messages) {
		err = fmt.Errorf("%s: %d of %d", action, done, len(i.messages))
	}
	seconds = report.Hundredths(time.Since(start).Seconds())
	if err == nil {
		err = m.Pause(ctx)
	}
	return seconds, report.Hundredths(m.CPU().Seconds()), err
}

// sizeCancelled measures the data folder with all of them cancelled.
func (i *importedRun) sizeCancelled(ctx context.Context) error {
	return i.restart(ctx, func() error {
		size, err := folderSize(i.rig.Dir)
		i.figures.BytesPerCancelled = report.Hundredths(float64(size-i.emptySize) / float64(len(i.messages)))
		return err
	})
}

// importedAtOnce: schedules without ids are imported, all due at one instant, and single ones
// of another tenant from then on. The row is the import's.
func importedAtOnce(ctx context.Context, r *run) (*report.Measured, error) {
	const perSecond, interval, lasts = 2000, 200 * time.Millisecond, 30 * time.Second
	n := r.options.Pending
	due := rig.In(20*time.Second + time.Duration(n)*time.Second/perSecond).Truncate(time.Second)
	messages := rig.NewMessages(n, "imported", r.rig.Receiver.URL, due)
	others := rig.NewMessages(int(lasts/interval), "other", r.rig.Receiver.URL, due)
	for i, other := range others {
		other.Due = due.Add(time.Duration(i) * interval)
	}
	m, err := r.startMeter()
	if err != nil {
		return nil, err
	}
	if _, err := r.postdate.As("noisy").Import(ctx, importName, messages); err != nil {
		return nil, err
	}
	if err := r.publishAll(ctx, r.postdate.As("other"), others); err != nil {
		return nil, err
	}
	if time.Now().After(due) {
		return nil, fmt.Errorf("the import of %d took longer than it was given", n)
	}
	if err := m.IdleUntil(ctx, due); err != nil {
		return nil, err
	}
	all := slices.Concat(messages, others)
	if err := r.rig.Receiver.Wait(ctx, len(all), due.Add(lasts)); err != nil {
		return nil, err
	}
	measured, err := r.finish(ctx, m, all, due)
	if err != nil {
		return nil, err
	}
	measured.Messages = messages
	measured.OthersMS = report.LatenessOf(dueBefore(others, rig.LastReceived(messages)))
	return measured, nil
}
