// Package system holds the systems that are measured: Postdate, and what it is
// compared with. Each runs in child processes of its own; those that are programs of
// the bench itself are the bench's executable, started with one of Commands.
package system

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/postdate/postdate/bench/rig"
)

// The names of the systems, as the table has them.
const (
	PostdateSQLite = "sqlite"  // postdate dev
	FloorSQLite    = "floor"   // the smallest durable execution
	NaiveSQLite    = "naive"   // the Temporal program that one writes first
	Batch1SQLite   = "batch_1" // the batch job, with one sender
	Batch16SQLite  = "batch_16"
)

// The same, where they need PostgreSQL.
const (
	PostdatePostgres = "postgres"
	PostdateServe2   = "serve_2" // two processes beside one Temporal
	FloorPostgres    = "floor_postgres"
	NaivePostgres    = "naive_postgres"
	Batch1Postgres   = "batch_1_postgres"
	Batch16Postgres  = "batch_16_postgres"
	RiverPostgres    = "river" // a queue of scheduled jobs
)

// System is what a scenario is measured on.
type System interface {
	rig.Publisher
	// Processes are what it costs.
	Processes() []*rig.Process
	Stop()
}

// Config is what systems are started with.
type Config struct {
	Binary     string        // the postdate to measure
	Env        []string      // further settings of it
	Postgres   string        // URL of a PostgreSQL server; empty: there is none
	River      string        // the program of bench/river
	BatchEvery time.Duration // from scan to scan of the batch job
	NaiveWAL   bool          // gives the naive program a write-ahead log
	Clients    int           // how many publish at once
}

// starter starts a system in the database at that URL or, where that is "", on files
// in the rig's folder.
type starter func(ctx context.Context, c Config, r *rig.Rig, database string) (System, error)

var systems = map[string]struct {
	needsDatabase bool
	start         starter
}{
	PostdateSQLite: {false, startDev},
	FloorSQLite:    {false, startFloor},
	NaiveSQLite:    {false, startNaive},
	Batch1SQLite:   {false, startBatchJob(1)},
	Batch16SQLite:  {false, startBatchJob(16)},

	PostdatePostgres: {true, startDev},
	PostdateServe2:   {true, startServe(2)},
	FloorPostgres:    {true, startFloor},
	NaivePostgres:    {true, startNaive},
	Batch1Postgres:   {true, startBatchJob(1)},
	Batch16Postgres:  {true, startBatchJob(16)},
	RiverPostgres:    {true, startRiver},
}

// Names returns the names of all systems.
func Names() []string { return slices.Sorted(maps.Keys(systems)) }

// Start starts the system of that name in r, in a new database where it needs one.
func Start(ctx context.Context, name string, c Config, r *rig.Rig) (System, error) {
	s, ok := systems[name]
	if !ok {
		return nil, fmt.Errorf("there is no system %q", name)
	}
	if !s.needsDatabase {
		return s.start(ctx, c, r, "")
	}
	if err := r.CreateDatabase(ctx, c.Postgres); err != nil {
		return nil, err
	}
	return s.start(ctx, c, r, r.Database.URL)
}

// solo is the one process of most systems.
type solo struct{ *rig.Process }

// Processes returns it.
func (s solo) Processes() []*rig.Process { return []*rig.Process{s.Process} }

// payload is the data of every message.
var payload = json.RawMessage(`{"payment_request":"pr_123","amount":4200,"currency":"EUR"}`)
