package main

import (
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// table is what the databases say, with Postdate and with the batch job.
func table(o Options, ours, theirs Report) string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 3, ' ', tabwriter.AlignRight)
	line := func(what string, of func(Report) string) {
		fmt.Fprintf(w, "%s\t%s\t%s\t\n", what, of(ours), of(theirs))
	}
	count := func(of func(Report) int) func(Report) string {
		return func(r Report) string { return strconv.Itoa(of(r)) }
	}
	fmt.Fprintf(w, "\n\tPostdate\tbatch job, every %s\t\n", o.Every)
	line("payment requests", count(func(r Report) int { return r.Requests }))
	line("PAID", count(func(r Report) int { return r.Paid }))
	line("EXPIRED", count(func(r Report) int { return r.Expired }))
	line("neither", count(func(r Report) int { return r.Pending }))
	line("both", count(func(r Report) int { return r.Both }))
	line("EXPIRED before their time", count(func(r Report) int { return r.Early }))
	line("notifications, two for each", count(func(r Report) int { return r.Notified }))
	line("missing", count(func(r Report) int { return r.Missing }))
	line("noted twice", count(func(r Report) int { return r.Twice }))
	line("EXPIRED late: median", func(r Report) string { return late(r, 0.5) })
	line("99 of 100", func(r Report) string { return late(r, 0.99) })
	line("the latest", func(r Report) string { return late(r, 1) })
	line("requests to receivers", count(func(r Report) int { return r.Total }))
	line("answered 500", count(func(r Report) int { return r.Failed }))
	line("answer lost", count(func(r Report) int { return r.Lost }))
	line("most in a second", count(func(r Report) int { return r.Peak }))
	_ = w.Flush()
	return text.String()
}

func late(r Report, q float64) string {
	return quantile(r.Lateness, q).Round(time.Millisecond).String()
}
