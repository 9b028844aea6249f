package rig

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Database is a new one in a PostgreSQL server.
type Database struct {
	URL string

	server, name string
	// drop is also for the database that the system made beside it, whoever is still
	// connected.
	drop func()
}

func createDatabase(ctx context.Context, server string) (*Database, error) {
	if server == "" {
		return nil, errors.New("it needs PostgreSQL: name one with --postgres")
	}
	name := "postdate_bench_" + strings.ToLower(rand.Text())
	u, err := DatabaseURL(server, name)
	if err != nil {
		return nil, err
	}
	d := &Database{URL: u, server: server, name: name, drop: func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, name := range []string{name, VisibilityName(name)} {
			_ = Execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // what is left over harms nobody
		}
	}}
	if err := Execute(ctx, server, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	return d, nil
}

// DatabaseURL returns the URL of another database in the same server.
func DatabaseURL(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		// The URL is left out: it holds the password.
		return "", errors.New("--postgres is not a postgres://user:password@host:port/database URL")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// VisibilityName names the second database that a Temporal server keeps.
func VisibilityName(name string) string { return name + "_visibility" }

// Execute runs one statement on a connection of its own.
func Execute(ctx context.Context, server, statement string) error {
	conn, err := pgx.Connect(ctx, server)
	if err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
