package rig

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

// Statements returns how many statements the database and the one beside it have
// served, as PostgreSQL counts them. It is 0 where nobody counts: where d is nil, and
// where the server has not loaded pg_stat_statements.
func (d *Database) Statements(ctx context.Context) int64 {
	if d == nil {
		return 0
	}
	n, err := d.countStatements(ctx)
	if err != nil {
		return 0 // the figure is left out
	}
	return n
}

func (d *Database) countStatements(ctx context.Context) (int64, error) {
	conn, err := pgx.Connect(ctx, d.server)
	if err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	var n int64
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
		JOIN pg_database ON pg_database.oid = dbid WHERE datname IN ($1, $2)`, d.name, VisibilityName(d.name)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	return n, nil
}
