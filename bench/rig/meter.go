package rig

import (
	"context"
	"errors"
	"time"
)

// Meter counts what the processes of a system cost: CPU time and memory.
type Meter struct {
	processes []*Process
	since     time.Duration // their CPU time when counting last began
	counted   time.Duration
}

// StartMeter begins to count.
func StartMeter(processes []*Process) (*Meter, error) {
	m := &Meter{processes: processes}
	for _, p := range processes {
		p.ForgetPeak()
	}
	if err := m.resume(); err != nil {
		return nil, err
	}
	return m, nil
}

func (m *Meter) resume() error {
	var err error
	m.since, err = CPUTime(m.processes)
	return err
}

// Pause waits until the processes are quiet, and counts no further.
func (m *Meter) Pause(ctx context.Context) error {
	if err := WaitQuiet(ctx, m.processes); err != nil {
		return err
	}
	now, err := CPUTime(m.processes)
	m.counted += now - m.since
	return err
}

// IdleUntil pauses, and counts again from just before due. It fails where the
// processes were not quiet by then.
func (m *Meter) IdleUntil(ctx context.Context, due time.Time) error {
	if err := m.Pause(ctx); err != nil {
		return err
	}
	const lead = 200 * time.Millisecond
	if time.Until(due) < lead {
		return errors.New("it was still busy accepting when they came due: is the machine busy?")
	}
	if err := Sleep(ctx, time.Until(due)-lead); err != nil {
		return err
	}
	return m.resume()
}

// CPU returns the CPU time that was counted until the last pause.
func (m *Meter) CPU() time.Duration { return m.counted }

// PeakMemory returns the most bytes that each process held, added up.
func (m *Meter) PeakMemory() (int64, error) { return sum(m.processes, (*Process).PeakMemory) }

// CPUTime returns how long all processes have run, added up.
func CPUTime(processes []*Process) (time.Duration, error) { return sum(processes, (*Process).CPUTime) }

// sum adds up a figure of each process.
func sum[N ~int64](processes []*Process, figure func(*Process) (N, error)) (N, error) {
	var total N
	for _, p := range processes {
		n, err := figure(p)
		if err != nil {
			return 0, err
		}
		total += n
	}
	return total, nil
}
