package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// WriteTable prints results for people, and which targets were met. bench/README.md
// explains each column.
func WriteTable(w io.Writer, results []Result, targets []Target) {
	if len(results) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s, %s\n\n", results[0].Machine, time.Now().Format(time.DateOnly))
	writeRows(w, results)
	for i := range results {
		writeParts(w, &results[i])
	}
	writeWork(w, results)
	writeTargets(w, results, targets)
}

// writeParts prints what only some scenarios measure.
func writeParts(w io.Writer, r *Result) {
	if r.Pending != nil {
		r.Pending.write(w, r)
	}
	if r.SlowReceiver != nil {
		r.SlowReceiver.write(w, r)
	}
	if r.NoisyTenant != nil {
		r.NoisyTenant.write(w, r)
	}
	if r.Hanging != nil {
		r.Hanging.write(w, r)
	}
	if r.Inbound != nil {
		r.Inbound.write(w, r)
	}
	if r.Imported != nil {
		r.Imported.write(w, r)
	}
	if r.Streams != nil {
		r.Streams.write(w, r)
	}
	if others := r.OthersMS; others != nil {
		fmt.Fprintf(w, "\n%s, %s: another tenant's messages meanwhile were late by %.0f ms p50, %.0f ms p99, %.0f ms at most\n",
			r.Scenario, r.System, others.P50, others.P99, others.Max)
	}
	if r.Crashes != nil {
		r.Crashes.write(w, r)
	}
	if r.Duplicates > 0 {
		fmt.Fprintf(w, "\n%s, %s: %d came more than once\n", r.Scenario, r.System, r.Duplicates)
	}
}

func writeRows(w io.Writer, results []Result) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "scenario\tengine\tmessages\taccepted/s\tdelivered/s\t× floor\t× naive\treceipt ms p50\tp99\tlateness ms first\tp50\tp99\tmax\tCPU ms each\tpeak MiB\t")
	for _, r := range results {
		receipt, lateness := r.ReceiptMS, r.LatenessMS
		fmt.Fprintf(t, "%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n",
			r.Scenario, r.System, r.Messages,
			cell("%.0f", r.AcceptedPerS), cell("%.0f", r.DeliveredPerS), cell("%.2f", r.RatioToFloor), cell("%.1f", r.RatioToNaive),
			receipt.cell(P50), receipt.cell(P99),
			lateness.cell(First), lateness.cell(P50), lateness.cell(P99), lateness.cell(Max),
			cell("%.2f", r.CPUMSPerDelivery), cell("%.0f", r.PeakRSSMB))
	}
	_ = t.Flush()
}

// writeWork prints what Temporal and its database had to do for each message.
func writeWork(w io.Writer, results []Result) {
	var lines strings.Builder
	for _, r := range results {
		if r.TransitionsPerDelivery > 0 {
			fmt.Fprintf(&lines, "%s, %s: %.2f state transitions of the engine each\n", r.Scenario, r.System, r.TransitionsPerDelivery)
		}
		if r.StatementsPerDelivery > 0 {
			fmt.Fprintf(&lines, "%s, %s: %.2f statements of the database each\n", r.Scenario, r.System, r.StatementsPerDelivery)
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

// First is the least.
func First(q Quantiles) float64 { return q.First }

// P50 is the median.
func P50(q Quantiles) float64 { return q.P50 }

// P99 is what one in a hundred exceeds.
func P99(q Quantiles) float64 { return q.P99 }

// Max is the most.
func Max(q Quantiles) float64 { return q.Max }

func (q *Quantiles) cell(of func(Quantiles) float64) string {
	if q == nil {
		return ""
	}
	return fmt.Sprintf("%.0f", of(*q))
}
