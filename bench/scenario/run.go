package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/rig"
	"github.com/postdate/postdate/bench/system"
)

// run is one scenario on one system, in fresh processes.
type run struct {
	options  Options
	rig      *rig.Rig
	name     string // the system's
	system   system.System
	postdate *system.Postdate // nil where the system is another
	fail     func(error)      // ends the run
}

// startRun starts the system of that name. fail is called where one of its processes
// ends by itself.
func startRun(ctx context.Context, o Options, name string, fail func(error)) (*run, error) {
	r := &run{options: o, name: name, fail: fail}
	var err error
	if r.rig, err = rig.Open(ctx, o.Dir); err != nil {
		return nil, err
	}
	if r.system, err = system.Start(ctx, name, o.System, r.rig); err != nil {
		r.rig.Close()
		return nil, err
	}
	r.postdate, _ = r.system.(*system.Postdate)
	for _, p := range r.system.Processes() {
		p.OnCrash(fail)
	}
	return r, nil
}

func (r *run) close() {
	r.system.Stop()
	r.rig.Close()
}

func (r *run) warmUp(ctx context.Context, prefix string) error {
	return system.WarmUp(ctx, r.system, r.options.System, prefix)
}

// restart stops postdate, calls between, and starts it again on the same data.
func (r *run) restart(ctx context.Context, between func() error) error {
	r.postdate.Process.Stop()
	if err := between(); err != nil {
		return err
	}
	if err := r.postdate.Start(ctx); err != nil {
		return err
	}
	r.postdate.OnCrash(r.fail)
	return nil
}

// startMeter counts what the system's processes cost from here on.
func (r *run) startMeter() (*rig.Meter, error) { return rig.StartMeter(r.system.Processes()) }

// publishAll hands messages over as fast as they are accepted.
func (r *run) publishAll(ctx context.Context, to rig.Publisher, messages []*rig.Message) error {
	return rig.PublishAll(ctx, to, r.options.System.Clients, messages)
}

// finish stops the meter, and fails where a message did not arrive in time.
// Delivered/s counts from since.
func (r *run) finish(ctx context.Context, m *rig.Meter, messages []*rig.Message, since time.Time) (*report.Measured, error) {
	if err := m.Pause(ctx); err != nil {
		return nil, err
	}
	peak, err := m.PeakMemory()
	if err != nil {
		return nil, err
	}
	if err := r.rig.Receiver.Note(messages); err != nil {
		return nil, err
	}
	return &report.Measured{Messages: messages, Since: since, CPU: m.CPU(), PeakMemory: peak}, nil
}
