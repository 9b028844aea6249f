package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// stage is fresh processes on an empty folder, and a receiver for what they send.
type stage struct {
	options

	engine   entrant
	postdate *postdate // nil where it is not Postdate
	child    *child    // the first process of the engine, and mostly the only one
	receiver *receiver
	dir      string
	database *database   // nil where the engine needs none
	fail     func(error) // ends the scenario
}

func openStage(ctx context.Context, o options, name string) (*stage, error) {
	dir, err := os.MkdirTemp(o.dir, "postdate-bench-")
	if err != nil {
		return nil, fmt.Errorf("make a data folder: %w", err)
	}
	s := &stage{options: o, dir: dir}
	if s.receiver, err = startReceiver(ctx); err != nil {
		s.close()
		return nil, err
	}
	if err := s.startEngine(ctx, name); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// restart stops postdate, calls between, and starts it again on the same data.
func (s *stage) restart(ctx context.Context, between func() error) error {
	s.child.stop()
	if err := between(); err != nil {
		return err
	}
	if err := s.postdate.start(ctx); err != nil {
		return err
	}
	s.child = s.postdate.child
	s.child.onCrash(s.fail)
	return nil
}

func (s *stage) close() {
	if s.engine != nil {
		s.engine.stop()
	}
	if s.database != nil {
		s.database.drop()
	}
	if s.receiver != nil {
		s.receiver.stop()
	}
	_ = os.RemoveAll(s.dir)
}

// warmUp fills caches, connections and code paths before anything is measured.
func (s *stage) warmUp(ctx context.Context, prefix string) error {
	const messages = 200
	r, err := startReceiver(ctx)
	if err != nil {
		return err
	}
	defer r.stop()
	items := newItems(messages, prefix, r.url, time.Time{})
	if f, ok := s.engine.(*floor); ok {
		f.receiver = r
		defer func() { f.receiver = s.receiver }()
	}
	if err := publishAll(ctx, s.engine, s.clients, items); err != nil {
		return err
	}
	if b, ok := s.engine.(*batchJob); ok {
		if err := b.scanAt(ctx, time.Now()); err != nil {
			return err
		}
	}
	if err := r.wait(ctx, len(items), time.Now()); err != nil {
		return err
	}
	return quiet(ctx, s.engine.processes())
}

// aim readies an engine that looks for what is due every so often, and tells
// when the first of what is due then can come.
func (s *stage) aim(ctx context.Context, due time.Time) (time.Time, error) {
	if b, ok := s.engine.(*batchJob); ok {
		return b.aim(ctx, due)
	}
	return due, nil
}

// meter counts the engine's CPU time, in all its processes.
type meter struct {
	processes []*child
	since     time.Duration // their CPU time at the last start
	cpu       time.Duration
}

// start begins to count, or goes on.
func (m *meter) start() error {
	var err error
	m.since, err = cpuTimes(m.processes)
	return err
}

// pause waits until the engine is quiet, and counts no further.
func (m *meter) pause(ctx context.Context) error {
	if err := quiet(ctx, m.processes); err != nil {
		return err
	}
	now, err := cpuTimes(m.processes)
	m.cpu += now - m.since
	return err
}

// begin makes a meter, and has it running.
func (s *stage) begin() (*meter, error) {
	m := &meter{processes: s.engine.processes()}
	for _, c := range m.processes {
		forgetPeak(c.pid)
	}
	if err := m.start(); err != nil {
		return nil, err
	}
	return m, nil
}

// finish stops the meter and sees that every item came.
func (s *stage) finish(ctx context.Context, m *meter, items []*item, since time.Time) (*measured, error) {
	if err := m.pause(ctx); err != nil {
		return nil, err
	}
	peak, err := peaks(m.processes)
	if err != nil {
		return nil, err
	}
	if err := s.receiver.note(items); err != nil {
		return nil, err
	}
	return &measured{items: items, since: since, cpu: m.cpu, peak: peak}, nil
}

// measureAll runs the scenarios that were asked for, each on a stage of its own.
// It returns what it has, also with an error.
func measureAll(ctx context.Context, o options, progress io.Writer) ([]result, error) {
	var results []result
	for _, s := range scenarios {
		if !o.picks(s) {
			continue
		}
		measured, err := s.measureRounds(ctx, o, progress)
		if err != nil {
			return results, err
		}
		results = append(results, measured...)
	}
	return results, nil
}

// measureRounds alternates between the engines, in the other order in every
// second round, so that a machine that slows down or speeds up meanwhile
// favours none.
func (s scenario) measureRounds(ctx context.Context, o options, progress io.Writer) ([]result, error) {
	engines, rounds := o.entrants(s), o.roundsOf(s)
	all := make(map[string][]*measured)
	for round := range rounds {
		order := slices.Clone(engines)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, engine := range order {
			fmt.Fprintf(progress, "%s  %s on %s, round %d of %d\n", time.Now().Format(time.TimeOnly), s.name, engine, round+1, rounds)
			m, err := s.measure(ctx, o, engine)
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", s.name, engine, err)
			}
			all[engine] = append(all[engine], m)
		}
	}
	var results []result
	for _, engine := range engines {
		results = append(results, summarise(s.name, engine, all[engine]))
	}
	return results, nil
}

func (s scenario) measure(ctx context.Context, o options, engine string) (*measured, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stage, err := openStage(ctx, o, engine)
	if err != nil {
		return nil, err
	}
	defer stage.close()
	stage.fail = cancel
	for _, c := range stage.engine.processes() {
		c.onCrash(stage.fail)
	}
	if err := stage.warmUp(ctx, "warm"); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	return s.run(ctx, stage)
}
