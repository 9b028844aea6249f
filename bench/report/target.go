package report

import (
	"fmt"
	"io"
)

// Target is what a scenario is asked to show.
type Target struct {
	Scenario, Text string
	// Value returns the figure, and whether it was measured.
	Value func(*Result) (value float64, measured bool)
	Met   func(float64) bool
}

// AtMost is met by figures up to most.
func AtMost(most float64) func(float64) bool { return func(v float64) bool { return v <= most } }

// AtLeast is met by figures from least on.
func AtLeast(least float64) func(float64) bool { return func(v float64) bool { return v >= least } }

func writeTargets(w io.Writer, results []Result, targets []Target) {
	fmt.Fprintln(w)
	for _, t := range targets {
		for i := range results {
			if results[i].Scenario != t.Scenario {
				continue
			}
			value, measured := t.Value(&results[i])
			if !measured {
				continue
			}
			verdict := "ok"
			if !t.Met(value) {
				verdict = "SHORT"
			}
			fmt.Fprintf(w, "%-5s %s: %.2f (%s)\n", verdict, t.Scenario, value, t.Text)
		}
	}
}
