// Command bench measures postdate from outside: it starts bin/postdate as a
// child, drives it through its HTTP API, receives what it sends, and puts beside
// it what people use instead. docs/performance.md says how to read it.
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

// run is the bench or, as a child of the bench, what it is compared with.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) > 0 {
		switch args[0] {
		case naiveCommand:
			return serveNaive(ctx, args[1:], stderr)
		case floorCommand:
			return serveFloor(ctx, args[1:], stderr)
		case batchCommand:
			return serveBatch(ctx, args[1:], stderr)
		case engineCommand:
			return serveEngine(ctx, args[1:], stderr)
		}
	}
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	results, err := measureAll(ctx, o, stderr)
	for i := range results {
		results[i].compare(results)
	}
	if keepErr := keepResults(o.results, results); err == nil {
		err = keepErr
	}
	table := stdout
	if o.json {
		table = stderr
		if err := writeJSON(stdout, results); err != nil {
			return err
		}
	}
	writeTable(table, results)
	return err
}
