package scenario

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/report"
)

// Measure runs the scenarios that o picks, and writes to progress what it is doing.
// It returns the results that it has, also with an error.
func Measure(ctx context.Context, o Options, progress io.Writer) ([]report.Result, error) {
	var results []report.Result
	var err error
	for _, s := range scenarios {
		if !o.picks(s) {
			continue
		}
		var measured []report.Result
		if measured, err = s.measureRounds(ctx, o, progress); err != nil {
			break
		}
		results = append(results, measured...)
	}
	report.Compare(results, standards)
	return results, err
}

// measureRounds alternates between the systems, in the other order in every second
// round, so that a machine that slows down or speeds up favours none.
func (s scenario) measureRounds(ctx context.Context, o Options, progress io.Writer) ([]report.Result, error) {
	systems, rounds := o.systems(s), o.rounds(s)
	measured := make(map[string][]*report.Measured)
	for round := range rounds {
		order := slices.Clone(systems)
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, name := range order {
			fmt.Fprintf(progress, "%s  %s on %s, round %d of %d\n", time.Now().Format(time.TimeOnly), s.name, name, round+1, rounds)
			m, err := s.measure(ctx, o, name)
			if err != nil {
				return nil, fmt.Errorf("%s on %s: %w", s.name, name, err)
			}
			measured[name] = append(measured[name], m)
		}
	}
	results := make([]report.Result, 0, len(systems))
	for _, name := range systems {
		results = append(results, report.Summarise(s.name, name, measured[name]))
	}
	return results, nil
}

// measure runs s once, on a system in processes of its own.
func (s scenario) measure(ctx context.Context, o Options, name string) (*report.Measured, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r, err := startRun(ctx, o, name, cancel)
	if err != nil {
		return nil, err
	}
	defer r.close()
	if err := r.warmUp(ctx, "warm"); err != nil {
		return nil, fmt.Errorf("warm up: %w", err)
	}
	measured, err := s.run(ctx, r)
	if err == nil && r.postdate != nil {
		var long int
		long, err = r.postdate.LongTasks(ctx)
		measured.LongTasks = &long
	}
	return measured, err
}
