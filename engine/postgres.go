package engine

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const (
	// postgresShards can never change. In one process more than 16 make no measurable
	// difference; 64 cost next to nothing, and suit a Temporal cluster that takes over
	// the database later.
	postgresShards = 64
	// postgresShardIO is how many writes of one shard are under way at once; they
	// wait for the disk together.
	postgresShardIO = 16
	// Four services have pools of their own, for each of the two databases. An
	// engine at work holds about 45 connections, of the 100 that PostgreSQL allows
	// by default; 30 and 8 are faster where the network is slow, and too many.
	mainConnections, visibilityConnections = 16, 6

	// lockKey is the advisory lock on the main database: "postdate".
	lockKey = 0x706f737464617465

	visibilitySuffix = "_visibility"
)

// openPostgres finds or creates the two databases of rawURL and their schema, and locks
// them until the store is closed.
func openPostgres(ctx context.Context, rawURL string) (*store, error) {
	main, err := parsePostgres(rawURL)
	if err != nil {
		return nil, err
	}
	conn, err := main.connectOrCreate(ctx)
	if err != nil {
		return nil, err
	}
	s, err := hold(ctx, main, conn)
	if err != nil {
		conn.Close(ctx)
		return nil, err
	}
	return s, nil
}

func hold(ctx context.Context, d database, conn *pgx.Conn) (*store, error) {
	if err := lockDatabase(ctx, conn, d); err != nil {
		return nil, err
	}
	visibility := d.named(d.name + visibilitySuffix)
	if err := visibility.create(ctx, conn); err != nil {
		return nil, err
	}
	s := &store{
		main:             d.config(mainConnections),
		visibility:       visibility.config(visibilityConnections),
		shards:           postgresShards,
		shardIO:          postgresShardIO,
		timers:           64,
		visibilitySchema: "postgresql/v12/visibility/schema.sql",
		openVisibility: func() (*sql.DB, error) {
			db, err := visibility.connect()
			if err != nil {
				return nil, err
			}
			return db.DB, nil
		},
		close: func() error { return conn.Close(context.WithoutCancel(ctx)) },
	}
	if err := upgradeSchema(s.main, "postgresql/v12/temporal"); err != nil {
		return nil, fmt.Errorf("schema of database %s: %s", d.name, oneLine(err))
	}
	if err := upgradeSchema(s.visibility, "postgresql/v12/visibility"); err != nil {
		return nil, fmt.Errorf("schema of database %s: %s", visibility.name, oneLine(err))
	}
	return s, nil
}

// lockDatabase keeps the database to one engine, as long as conn lives: two
// servers that do not know each other would take each other's shards away. An
// engine that has just ended is given a moment: PostgreSQL notices a little later.
func lockDatabase(ctx context.Context, conn *pgx.Conn, d database) error {
	if _, err := conn.Exec(ctx, "SET lock_timeout = '3s'"); err != nil {
		return d.explain(err)
	}
	_, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(lockKey))
	if hasCode(err, lockNotAvailable) {
		return fmt.Errorf("%s is in use by another engine", d)
	}
	return d.explain(err)
}
