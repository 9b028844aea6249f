package main

import "context"

// The engines that scenarios are measured on.
const (
	sqliteEngine  = "sqlite"  // ours, on the embedded engine with SQLite
	naiveEngine   = "naive"   // the naive Temporal program
	floorEngine   = "floor"   // the smallest durable execution
	batch1Engine  = "batch_1" // the batch job, with one sender
	batch16Engine = "batch_16"

	// These need PostgreSQL.
	postgresEngine        = "postgres" // ours
	serve2Engine          = "serve_2"  // ours: two processes beside one engine
	naivePostgresEngine   = "naive_postgres"
	floorPostgresEngine   = "floor_postgres"
	batch1PostgresEngine  = "batch_1_postgres"
	batch16PostgresEngine = "batch_16_postgres"
	riverEngine           = "river" // a queue of scheduled jobs
)

// entrant is a contender in processes of its own.
type entrant interface {
	contender
	processes() []*child
	stop()
}

// kind is how an engine is started: in a database of the stage's own or, where
// it needs none, on the stage's empty folder.
type kind struct {
	inDatabase bool
	start      func(ctx context.Context, s *stage, database string) (entrant, error)
}

var engines = map[string]kind{
	sqliteEngine:  {false, starting(startPostdate)},
	naiveEngine:   {false, starting(startNaive)},
	floorEngine:   {false, starting(startFloor)},
	batch1Engine:  {false, starting(senders(1).start)},
	batch16Engine: {false, starting(senders(16).start)},

	postgresEngine:        {true, starting(startPostdate)},
	serve2Engine:          {true, starting(serves(2).start)},
	naivePostgresEngine:   {true, starting(startNaive)},
	floorPostgresEngine:   {true, starting(startFloor)},
	batch1PostgresEngine:  {true, starting(senders(1).start)},
	batch16PostgresEngine: {true, starting(senders(16).start)},
	riverEngine:           {true, starting(startRiver)},
}

// starting makes what one engine is started by alike to what the others are.
func starting[E entrant](start func(context.Context, *stage, string) (E, error)) func(context.Context, *stage, string) (entrant, error) {
	return func(ctx context.Context, s *stage, database string) (entrant, error) { return start(ctx, s, database) }
}

// startEngine starts the engine of that name.
func (s *stage) startEngine(ctx context.Context, name string) error {
	url, k := "", engines[name]
	if k.inDatabase {
		var err error
		if s.database, err = createDatabase(ctx, s.postgres); err != nil {
			return err
		}
		url = s.database.url
	}
	started, err := k.start(ctx, s, url)
	if err != nil {
		return err
	}
	s.engine, s.child = started, started.processes()[0]
	s.postdate, _ = started.(*postdate)
	return nil
}

// postgresRivals are the scenarios that --postgres runs by default, and who does
// them beside ours.
var postgresRivals = map[string][]string{
	"immediate":   {naivePostgresEngine, floorPostgresEngine, riverEngine, serve2Engine},
	"due_at_once": {naivePostgresEngine, batch1PostgresEngine, batch16PostgresEngine, riverEngine},
	"steady":      {riverEngine},
	"unnamed_1":   {serve2Engine},
}

// standard is what one of ours is compared with: what has the same database.
type standard struct{ floor, naive, batch16 string }

var standards = map[string]standard{
	sqliteEngine:   {floorEngine, naiveEngine, batch16Engine},
	postgresEngine: {floorPostgresEngine, naivePostgresEngine, batch16PostgresEngine},
	serve2Engine:   {floorPostgresEngine, naivePostgresEngine, batch16PostgresEngine},
}

// entrants are the engines to measure the scenario on, ours first.
func (o options) entrants(s scenario) []string {
	ours, rivals := sqliteEngine, s.rivals
	if o.postgres != "" {
		ours, rivals = postgresEngine, postgresRivals[s.name]
	}
	if o.alone(s) {
		rivals = nil
	}
	return append([]string{ours}, rivals...)
}
