// Package scenario holds the ways to use Postdate that are measured, one in a file,
// and runs them: each on Postdate and on the systems that it is compared with, each
// time in fresh processes.
package scenario

import (
	"context"
	"time"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/system"
)

// scenario is one way to use Postdate, and so one row of the table.
type scenario struct {
	name   string
	extent Extent
	run    func(context.Context, *run) (*report.Measured, error)

	rivals         []string // the systems that do it too, on SQLite
	postgresRivals []string // the same on PostgreSQL; a run there has only scenarios with some
}

// Extent is which runs a scenario belongs to, unless it is asked for by name.
type Extent int

// The extents, from the smallest run to the largest.
const (
	Quick  Extent = iota // every run, also with --quick
	Full                 // all but those with --quick
	ByName               // none: it takes too long
)

// scenarios are in the order of the table.
var scenarios = []scenario{
	{
		name: "immediate", extent: Quick, run: immediate,
		rivals:         []string{system.NaiveSQLite, system.FloorSQLite},
		postgresRivals: []string{system.NaivePostgres, system.FloorPostgres, system.RiverPostgres, system.PostdateServe2},
	},
	{name: "due_spread", extent: Full, run: dueSpread},
	{
		name: "due_at_once", extent: Quick, run: burst{times: 1}.run,
		rivals:         []string{system.FloorSQLite, system.NaiveSQLite, system.Batch1SQLite, system.Batch16SQLite},
		postgresRivals: []string{system.FloorPostgres, system.NaivePostgres, system.Batch1Postgres, system.Batch16Postgres, system.RiverPostgres},
	},
	{
		name: "due_at_once_30000", extent: ByName, run: burst{times: 10}.run,
		rivals: []string{system.Batch1SQLite, system.Batch16SQLite},
	},
	{
		name: "due_at_once_unnamed", extent: Full, run: burst{times: 1, unnamed: true}.run,
		rivals:         []string{system.Batch16SQLite},
		postgresRivals: []string{system.Batch16Postgres, system.RiverPostgres},
	},
	{name: "recurrences", extent: Full, run: recurrences{ticks: 1}.run},
	{name: "recurrences_crash", extent: ByName, run: recurrences{ticks: 2, kill: true}.run},
	{name: "due_in_2s", extent: Full, run: dueIn2s},
	{name: "steady", extent: Quick, run: steady, postgresRivals: []string{system.RiverPostgres}},
	{name: "fan_out_1", extent: Full, run: fanOut{endpoints: 1, percent: 50, named: true}.run},
	{name: "fan_out_10", extent: Full, run: fanOut{endpoints: 10, percent: 35, named: true}.run},
	{name: "fan_out_100", extent: Full, run: fanOut{endpoints: 100, percent: 10, named: true}.run},
	{
		name: "unnamed_1", extent: Quick, run: fanOut{endpoints: 1, percent: 300}.run,
		postgresRivals: []string{system.PostdateServe2},
	},
	{name: "unnamed_10", extent: Full, run: fanOut{endpoints: 10, percent: 100}.run},
	{name: "batch", extent: Quick, run: batch},
	{name: "pull", extent: Full, run: pull},
	{name: "tenants", extent: Full, run: tenants},
	{name: "hanging", extent: Full, run: hanging},
	{name: "inbound", extent: Full, run: inbound},
	{name: "to_streams", extent: Full, run: toStreams},
	{name: "from_streams", extent: Full, run: fromStreams},
	{name: "round_trip", extent: Full, run: roundTrip{interval: 5 * time.Millisecond}.run},
	{name: "round_trip_published", extent: ByName, run: roundTrip{interval: 20 * time.Millisecond, published: true}.run},
	{name: "far_future", extent: Full, run: farFuture},
	{name: "imported", extent: Full, run: imported},
	{name: "imported_at_once", extent: ByName, run: importedAtOnce},
	{name: "slow_crm", extent: Full, run: slowCRM{workers: 1}.run},
	{name: "slow_crm_3", extent: ByName, run: slowCRM{workers: 3}.run},
	{name: "outage", extent: ByName, run: outage},
	{name: "rate_50", extent: ByName, run: rate50},
	{name: "crash", extent: ByName, run: crash},
}

// standards are what the figures of Postdate are divided by: those of the systems
// with the same database.
var standards = map[string]report.Standard{
	system.PostdateSQLite:   {Floor: system.FloorSQLite, Naive: system.NaiveSQLite, Batch16: system.Batch16SQLite},
	system.PostdatePostgres: onPostgres,
	system.PostdateServe2:   onPostgres,
}

var onPostgres = report.Standard{Floor: system.FloorPostgres, Naive: system.NaivePostgres, Batch16: system.Batch16Postgres}

// Names returns the names of all scenarios, in the order of the table.
func Names() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// LeftOut returns the scenarios that a run of that extent leaves out and the next
// larger one has.
func LeftOut(extent Extent) []string {
	var names []string
	for _, s := range scenarios {
		if s.extent == extent+1 {
			names = append(names, s.name)
		}
	}
	return names
}
