package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// options is what the command line says.
type options struct {
	binary   string   // the postdate to measure
	river    string   // the program of bench/river
	postgres string   // URL of a PostgreSQL server; empty: without
	results  string   // where the JSON lines of this run are kept; empty: nowhere
	dir      string   // where the temporary data folders go; empty: the system's
	only     []string // scenarios; empty: all
	env      []string // further settings of the postdate under test
	quick    bool
	clients  int
	rounds   int
	messages int           // in immediate, due_at_once, due_spread and tenants
	singles  int           // in due_in_2s
	steady   time.Duration // of steady
	streams  time.Duration // of slow_crm and its like
	pending  int           // in far_future
	// batchEvery is how often the batch job scans.
	batchEvery time.Duration
	rivals     bool
	naiveWAL   bool
	json       bool
}

// sizes are the defaults that --quick changes.
type sizes struct {
	rounds, messages, singles, pending int
	steady, batchEvery                 time.Duration
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	size := sizes{rounds: 1, messages: 3000, singles: 10, pending: 10_000, steady: time.Minute, batchEvery: time.Minute}
	if slices.Contains(args, "--quick") || slices.Contains(args, "-quick") {
		size = sizes{rounds: 1, messages: 300, singles: 5, pending: 1000, steady: 10 * time.Second, batchEvery: 10 * time.Second}
	}
	var o options
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.quick, "quick", false, "about a minute instead of ten: smaller sizes, without "+strings.Join(leftOut(quick), ", "))
	flags.StringVar(&o.binary, "binary", "bin/postdate", "the postdate to measure")
	flags.StringVar(&o.river, "river", "bin/bench-river", "the program of bench/river, measured with --postgres")
	flags.StringVar(&o.postgres, "postgres", "", "URL of a PostgreSQL server, whose user may create databases: measure what needs one, not SQLite")
	flags.StringVar(&o.results, "results", "bench/results", "folder in which one JSON line per row is kept; empty for none")
	flags.StringVar(&o.dir, "dir", "", "parent of the temporary data folders: a real disk, or syncs cost nothing")
	flags.StringVar(&only, "scenarios", "", "comma separated, of: "+strings.Join(scenarioNames(), ", ")+
		"; only by name, for they take minutes each: "+strings.Join(leftOut(full), ", "))
	flags.Func("env", "KEY=VALUE: a further setting of the postdate under test (repeatable)", func(v string) error {
		o.env = append(o.env, v)
		return nil
	})
	flags.IntVar(&o.clients, "clients", 64, "how many publish at once")
	flags.IntVar(&o.rounds, "rounds", size.rounds, "how often immediate and due_at_once are measured, each time in fresh processes")
	flags.IntVar(&o.messages, "messages", size.messages, "messages in immediate, due_at_once, due_spread and tenants; those that are faster get some times as many, due_at_once_30000 ten times")
	flags.IntVar(&o.singles, "singles", size.singles, "messages in due_in_2s")
	flags.DurationVar(&o.steady, "steady", size.steady, "how long steady lasts")
	flags.DurationVar(&o.streams, "streams", 0, "how long the streams of slow_crm, slow_crm_3, outage and rate_50 last; unless said, a minute where scenarios are named, 15s otherwise")
	flags.IntVar(&o.pending, "pending", size.pending, "schedules in far_future; a million takes half an hour or more, and 8 GB of disk")
	flags.DurationVar(&o.batchEvery, "batch-every", size.batchEvery, "how often the batch job scans its table")
	flags.BoolVar(&o.rivals, "rivals", true, "measure what it is compared with too: the floor, the naive program and others")
	flags.BoolVar(&o.naiveWAL, "naive-wal", false, "give the naive program a write-ahead log, which Temporal's defaults do not")
	flags.BoolVar(&o.json, "json", false, "one JSON line per scenario on standard output; the table goes to standard error")
	if err := flags.Parse(args); err != nil {
		return options{}, fmt.Errorf("read the flags: %w", err)
	}
	if only != "" {
		o.only = strings.Split(only, ",")
	}
	if o.streams == 0 {
		o.streams = min(size.steady, 15*time.Second)
		if only != "" {
			o.streams = size.steady
		}
	}
	return o, o.validate(flags.Args())
}

func (o options) validate(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("what is %q?", rest[0])
	}
	for _, name := range o.only {
		if !slices.Contains(scenarioNames(), name) {
			return fmt.Errorf("no scenario %q; there are %s", name, strings.Join(scenarioNames(), ", "))
		}
	}
	if min(o.clients, o.rounds, o.messages, o.singles, o.pending) < 1 || min(o.steady, o.streams, o.batchEvery) < time.Second {
		return errors.New("clients, rounds, messages, singles and pending are at least 1, steady, streams and batch-every at least 1s")
	}
	if o.postgres != "" {
		_, err := inServer(o.postgres, "postgres")
		return err
	}
	return nil
}
