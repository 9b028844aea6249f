package main

import (
	"fmt"
	"io"
)

// target is what a scenario is asked to show.
type target struct {
	scenario, text string
	value          func(result) (float64, bool) // what came, and whether it was measured
	met            func(float64) bool
}

func atMost(most float64) func(float64) bool   { return func(v float64) bool { return v <= most } }
func atLeast(least float64) func(float64) bool { return func(v float64) bool { return v >= least } }

// on is a figure of the scenario on that engine; zero where it was not measured.
func on(engine string, figure func(result) float64) func(result) (float64, bool) {
	return func(r result) (float64, bool) {
		if r.Engine != engine {
			return 0, false
		}
		value := figure(r)
		return value, value != 0
	}
}

// ofQuantiles is one of a figure's quantiles; zero where there are none.
func ofQuantiles(figure func(result) *quantiles, of func(quantiles) float64) func(result) float64 {
	return func(r result) float64 {
		if q := figure(r); q != nil {
			return of(*q)
		}
		return 0
	}
}

// ofPending is one of the figures of what is not due for long.
func ofPending(figure func(*pending) float64) func(result) float64 {
	return func(r result) float64 {
		if r.pending == nil {
			return 0
		}
		return figure(r.pending)
	}
}

func targets() []target {
	toNaive := func(r result) float64 { return r.RatioToNaive }
	rate := func(r result) float64 { return r.DeliveredPerS }
	receipt := func(r result) *quantiles { return r.ReceiptMS }
	lateness := func(r result) *quantiles { return r.LatenessMS }
	return []target{
		{"immediate", "times the naive program, at least 5", on(sqliteEngine, toNaive), atLeast(5)},
		{"immediate", "times the naive program, both on PostgreSQL, at least 4", on(postgresEngine, toNaive), atLeast(4)},
		{"immediate", "of the engine's floor, at least 0.85", on(sqliteEngine, func(r result) float64 { return r.RatioToFloor }), atLeast(0.85)},
		{"unnamed_1", "delivered/s, at least 2000", on(sqliteEngine, rate), atLeast(2000)},
		{"batch", "delivered/s, at least 5000", on(sqliteEngine, rate), atLeast(5000)},
		{"steady", "receipt p50 in ms, at most 15", on(sqliteEngine, ofQuantiles(receipt, p50)), atMost(15)},
		{"steady", "receipt p99 in ms, at most 50", on(sqliteEngine, ofQuantiles(receipt, p99)), atMost(50)},
		{"steady", "lateness p99 in ms, at most 100", on(sqliteEngine, ofQuantiles(lateness, p99)), atMost(100)},
		{"due_in_2s", "the latest message in ms, at most 250", on(sqliteEngine, ofQuantiles(lateness, longest)), atMost(250)},
		{"due_at_once", "times the naive program, at least 3", on(sqliteEngine, toNaive), atLeast(3)},
		{"due_at_once", "times a batch job with 16 senders, at least 1", on(sqliteEngine, func(r result) float64 { return r.RatioToBatch16 }), atLeast(1)},
		{"due_at_once", "the first message in ms, at most 250", on(sqliteEngine, ofQuantiles(lateness, first)), atMost(250)},
		{"tenants", "the other tenant's lateness p99 in ms, at most 1000", on(sqliteEngine, ofQuantiles(lateness, p99)), atMost(1000)},
		{"far_future", "accepted/s in the last tenth over the first, at least 0.8", on(sqliteEngine, ofPending(acceptedLastToFirst)), atLeast(0.8)},
		{"far_future", "MiB of memory at most, at most 1024", on(sqliteEngine, func(r result) float64 { return r.PeakRSSMB }), atMost(1024)},
		{"far_future", "seconds from start to ready, at most 10", on(sqliteEngine, ofPending(func(p *pending) float64 { return p.RestartS })), atMost(10)},
	}
}

func acceptedLastToFirst(p *pending) float64 {
	if p.AcceptedPerSFirst == 0 {
		return 0
	}
	return p.AcceptedPerSLast / p.AcceptedPerSFirst
}

func writeTargets(w io.Writer, results []result) {
	fmt.Fprintln(w)
	for _, t := range append(targets(), overloadTargets()...) {
		for _, r := range results {
			if r.Scenario != t.scenario {
				continue
			}
			value, known := t.value(r)
			if !known {
				continue
			}
			verdict := "ok"
			if !t.met(value) {
				verdict = "SHORT"
			}
			fmt.Fprintf(w, "%-5s %s: %.2f (%s)\n", verdict, t.scenario, value, t.text)
		}
	}
}
