// Demo proves the worked example: a thousand payment requests, half of them paid at random
// moments, receivers that fail, and Postdate killed in the middle. It ends with a table out
// of the databases, and beside it the same done by a batch job.
//
//	make demo
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// batchCommand makes the process that runs it the batch job.
const batchCommand = "batch-job"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1) //nolint:gocritic // there is nothing left to stop
	}
}

// Options say how much is done.
type Options struct {
	// Binary is Postdate's.
	Binary string
	// Requests are so many; half of them are paid.
	Requests int
	// First is when the first of them expires, and Window the time in which all do.
	First, Window time.Duration
	// Every is the interval of the batch job's scans.
	Every time.Duration
	// Say gets a line for what happens.
	Say func(format string, args ...any)
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == batchCommand {
		return runBatchJob(ctx, args[1:])
	}
	began := time.Now()
	o := Options{Say: func(format string, args ...any) {
		fmt.Fprintf(os.Stdout, "%5.1f s  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, args...))
	}}
	set := flag.NewFlagSet("demo", flag.ContinueOnError)
	set.StringVar(&o.Binary, "binary", "bin/postdate", "the program Postdate")
	set.IntVar(&o.Requests, "requests", 1000, "how many payment requests")
	set.DurationVar(&o.First, "first", 12*time.Second, "when the first of them expires")
	set.DurationVar(&o.Window, "window", 45*time.Second, "the time in which all of them do")
	set.DurationVar(&o.Every, "batch-every", 10*time.Second, "the interval of the batch job's scans")
	if err := set.Parse(args); err != nil {
		return err //nolint:wrapcheck // it says what is wrong
	}
	ours, err := withPostdate(ctx, o)
	if err != nil {
		return fmt.Errorf("with Postdate: %w", err)
	}
	theirs, err := withBatchJob(ctx, o)
	if err != nil {
		return fmt.Errorf("with a batch job: %w", err)
	}
	fmt.Fprint(os.Stdout, table(o, ours, theirs))
	return ours.check(o)
}
