package main

import (
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/postdate/postdate/bench/scenario"
)

// flags is what the command line says.
type flags struct {
	options scenario.Options
	results string // folder for the JSON lines of this run; empty: they are not kept
	json    bool
}

// sizes are the defaults that --quick changes.
type sizes struct {
	messages, singles, pending int
	steady, batchEvery         time.Duration
}

func parseFlags(args []string, stderr io.Writer) (flags, error) {
	size := sizes{messages: 3000, singles: 10, pending: 10_000, steady: time.Minute, batchEvery: time.Minute}
	if slices.Contains(args, "--quick") || slices.Contains(args, "-quick") {
		size = sizes{messages: 300, singles: 5, pending: 1000, steady: 10 * time.Second, batchEvery: 10 * time.Second}
	}
	var f flags
	var only string
	set := flag.NewFlagSet("bench", flag.ContinueOnError)
	set.SetOutput(stderr)
	f.addOutputs(set)
	f.addSystems(set, size)
	f.addSizes(set, size)
	set.StringVar(&only, "scenarios", "", "comma separated, of: "+strings.Join(scenario.Names(), ", ")+
		"; only by name, for they take minutes each: "+strings.Join(scenario.LeftOut(scenario.Full), ", "))
	if err := set.Parse(args); err != nil {
		return flags{}, fmt.Errorf("read the flags: %w", err)
	}
	if set.NArg() > 0 {
		return flags{}, fmt.Errorf("there is no argument %q: scenarios are named by --scenarios", set.Arg(0))
	}
	o := &f.options
	if only != "" {
		o.Only = strings.Split(only, ",")
	}
	if o.Streams == 0 {
		o.Streams = min(size.steady, 15*time.Second)
		if only != "" {
			o.Streams = size.steady
		}
	}
	return f, o.Validate()
}

func (f *flags) addOutputs(set *flag.FlagSet) {
	set.StringVar(&f.results, "results", "bench/results", "folder in which one JSON line per row is kept; empty for none")
	set.StringVar(&f.options.Dir, "dir", "", "parent of the temporary data folders: a real disk, or syncs cost nothing")
	set.BoolVar(&f.json, "json", false, "one JSON line per scenario on standard output; the table goes to standard error")
}

func (f *flags) addSystems(set *flag.FlagSet, size sizes) {
	s := &f.options.System
	set.StringVar(&s.Binary, "binary", "bin/postdate", "the postdate to measure")
	set.StringVar(&s.River, "river", "bin/bench-river", "the program of bench/river, measured with --postgres")
	set.StringVar(&s.Postgres, "postgres", "", "URL of a PostgreSQL server, whose user may create databases: measure what needs one, not SQLite")
	set.Func("env", "KEY=VALUE: a further setting of the postdate under test (repeatable)", func(v string) error {
		s.Env = append(s.Env, v)
		return nil
	})
	set.IntVar(&s.Clients, "clients", 64, "how many publish at once")
	set.DurationVar(&s.BatchEvery, "batch-every", size.batchEvery, "how often the batch job scans its table")
	set.BoolVar(&s.NaiveWAL, "naive-wal", false, "give the naive program a write-ahead log, which Temporal's defaults do not")
	set.BoolVar(&f.options.Rivals, "rivals", true, "measure what it is compared with too: the floor, the naive program and others")
}

func (f *flags) addSizes(set *flag.FlagSet, size sizes) {
	o := &f.options
	set.BoolVar(&o.Quick, "quick", false, "about a minute instead of ten: smaller sizes, without "+strings.Join(scenario.LeftOut(scenario.Quick), ", "))
	set.IntVar(&o.Rounds, "rounds", 1, "how often immediate and due_at_once are measured, each time in fresh processes")
	set.IntVar(&o.Messages, "messages", size.messages, "messages in immediate, due_at_once, due_spread and tenants; those that are faster get some times as many, due_at_once_30000 ten times, round_trip 10 for each 3")
	set.IntVar(&o.Singles, "singles", size.singles, "messages in due_in_2s")
	set.DurationVar(&o.Steady, "steady", size.steady, "how long steady lasts")
	set.DurationVar(&o.Streams, "streams", 0, "how long the streams of slow_crm, slow_crm_3, outage and rate_50 last; unless said, a minute where scenarios are named, 15s otherwise")
	set.IntVar(&o.Pending, "pending", size.pending, "schedules in far_future, imported and imported_at_once; a million takes far_future half an hour or more, and 8 GB of disk")
}
