// Command bench measures Postdate from outside: it starts bin/postdate as a child
// process, drives it through its HTTP API, receives what it sends, and puts beside it
// what people use instead. bench/README.md explains how, docs/performance.md holds
// the results.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/scenario"
	"github.com/postdate/postdate/bench/system"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// run is the bench or, as a child of the bench, one of the systems that it measures.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		if serve, ok := system.Commands()[args[0]]; ok {
			return serve(ctx, args[1:], stderr)
		}
	}
	f, err := parseFlags(args, stderr)
	if err != nil {
		return err
	}
	results, err := scenario.Measure(ctx, f.options, stderr)
	if keepErr := report.Keep(f.results, results); err == nil {
		err = keepErr
	}
	table := stdout
	if f.json {
		table = stderr
		if err := report.WriteJSON(stdout, results); err != nil {
			return err
		}
	}
	report.WriteTable(table, results, scenario.Targets())
	return err
}
