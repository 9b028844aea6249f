package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"github.com/jackc/pgx/v5"
)

// statements is how many the stage's databases have served so far, as
// PostgreSQL itself counts them. It is 0 where nobody counts: on SQLite, and
// where the server does not have pg_stat_statements loaded.
func (s *stage) statements(ctx context.Context) int64 {
	if s.database == nil {
		return 0
	}
	n, err := servedBy(ctx, s.postgres, s.database.url)
	if err != nil {
		return 0 // the figure is left out
	}
	return n
}

// servedBy is of the database at that URL and the one beside it, as server has it.
func servedBy(ctx context.Context, server, database string) (int64, error) {
	u, err := url.Parse(database)
	if err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	name := strings.TrimPrefix(u.Path, "/")
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"); err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	var n int64
	err = conn.QueryRow(ctx, `SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements
		JOIN pg_database ON pg_database.oid = dbid WHERE datname IN ($1, $2)`, name, visibilityOf(name)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count the statements: %w", err)
	}
	return n, nil
}
