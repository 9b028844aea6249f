package main

import (
	"fmt"
	"io"
	"strings"
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
	fmt.Fprintln(t, "scenario\tengine\tmessages\taccepted/s\tdelivered/s\t× floor\t× naive\treceipt ms p50\tp99\tlateness ms first\tp50\tp99\tmax\tCPU ms each\tpeak MiB\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n",
			r.Scenario, r.Engine, r.Messages,
			cell("%.0f", r.AcceptedPerS), cell("%.0f", r.DeliveredPerS), cell("%.2f", r.RatioToFloor), cell("%.1f", r.RatioToNaive),
			r.ReceiptMS.cell(p50), r.ReceiptMS.cell(p99),
			r.LatenessMS.cell(first), r.LatenessMS.cell(p50), r.LatenessMS.cell(p99), r.LatenessMS.cell(longest),
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
		if r.crowd != nil {
			r.writeCrowd(w)
		}
		if r.Duplicates > 0 {
			fmt.Fprintf(w, "\n%s, %s: %d came more than once\n", r.Scenario, r.Engine, r.Duplicates)
		}
	}
	writeWork(w, results)
	writeTargets(w, results)
}

// writeWork tells what the engine and its database had to do for each message.
func writeWork(w io.Writer, results []result) {
	var lines strings.Builder
	for _, r := range results {
		if r.TransitionsPerDelivery > 0 {
			fmt.Fprintf(&lines, "%s, %s: %.2f state transitions of the engine each\n", r.Scenario, r.Engine, r.TransitionsPerDelivery)
		}
		if r.StatementsPerDelivery > 0 {
			fmt.Fprintf(&lines, "%s, %s: %.2f statements of the database each\n", r.Scenario, r.Engine, r.StatementsPerDelivery)
		}
	}
	if lines.Len() > 0 {
		fmt.Fprintf(w, "\n%s", lines.String())
	}
}

// cell leaves empty what was not measured.
func cell(format string, value float64) string {
	if value == 0 {
		return ""
	}
	return fmt.Sprintf(format, value)
}

func first(q quantiles) float64   { return q.First }
func p50(q quantiles) float64     { return q.P50 }
func p99(q quantiles) float64     { return q.P99 }
func longest(q quantiles) float64 { return q.Max }

func (q *quantiles) cell(of func(quantiles) float64) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("%.0f", of(*q))
}
