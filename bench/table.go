package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"
)

// writeTable prints results for people. docs/performance.md explains each column.
func writeTable(w io.Writer, results []result) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, %s\n\n", results[0].Machine, time.Now().Format(time.DateOnly))
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tengine\tmessages\taccepted/s\tdelivered/s\t× floor\t× naive\treceipt ms p50\tp99\tlateness ms p50\tp99\tmax\tCPU ms each\tpeak MiB\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n",
			r.Scenario, r.Engine, r.Messages,
			cell("%.0f", r.AcceptedPerS), cell("%.0f", r.DeliveredPerS), cell("%.2f", r.RatioToFloor), cell("%.1f", r.RatioToNaive),
			r.ReceiptMS.cell(p50), r.ReceiptMS.cell(p99),
			r.LatenessMS.cell(p50), r.LatenessMS.cell(p99), r.LatenessMS.cell(longest),
			cell("%.2f", r.CPUMSPerDelivery), cell("%.0f", r.PeakRSSMB))
	}
	_ = t.Flush()
	for i := range results {
		r := &results[i]
		if r.pending != nil {
			r.write(w)
		}
		if r.overloadFigures != nil {
			r.writeOverload(w)
		}
		if r.Duplicates > 0 {
			fmt.Fprintf(w, "\n%s, %s: %d came more than once\n", r.Scenario, r.Engine, r.Duplicates)
		}
	}
	writeTargets(w, results)
}

// cell leaves empty what was not measured.
func cell(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

func p50(q quantiles) float64     { return q.P50 }
func p99(q quantiles) float64     { return q.P99 }
func longest(q quantiles) float64 { return q.Max }

func (q *quantiles) cell(of func(quantiles) float64) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("%.0f", of(*q))
}

// target is what a scenario is asked to show.
type target struct {
	scenario, text string
	value          func(result) (float64, bool) // what came, and whether it was measured
	met            func(float64) bool
}

func targets() []target {
	ratio := func(r result) (float64, bool) { return r.RatioToNaive, r.RatioToNaive > 0 }
	latest := func(r result) (float64, bool) {
		if r.LatenessMS == nil {
			return 0, false
		}
		return r.LatenessMS.Max, true
	}
	return []target{
		{"due_in_2s", "the latest message in ms, at most 250", latest, func(v float64) bool { return v <= 250 }},
		{"immediate", "times the naive program, at least 4", ratio, func(v float64) bool { return v >= 4 }},
		{"due_at_once", "times the naive program, at least 3", ratio, func(v float64) bool { return v >= 3 }},
	}
}

func writeTargets(w io.Writer, results []result) {
	fmt.Fprintln(w)
	for _, t := range append(targets(), overloadTargets()...) {
		for _, r := range results {
			if r.Scenario != t.scenario || r.Engine != sqliteEngine {
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
