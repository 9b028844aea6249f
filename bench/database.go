package main

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

// database is a new one, on the PostgreSQL that --postgres names.
type database struct {
	server, name string
	url          string
	// drop is also for what the engine has made beside it, whoever still holds it.
	drop func()
}

func createDatabase(ctx context.Context, server string) (*database, error) {
	if server == "" {
		return nil, errors.New("it needs PostgreSQL: name one with --postgres")
	}
	name := "postdate_bench_" + strings.ToLower(rand.Text())
	made, err := inServer(server, name)
	if err != nil {
		return nil, err
	}
	d := &database{server: server, name: name, url: made, drop: func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		for _, name := range []string{name, visibilityOf(name)} {
			_ = execute(ctx, server, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") // what is left over harms nobody
		}
	}}
	if err := execute(ctx, server, "CREATE DATABASE "+name); err != nil {
		return nil, err
	}
	return d, nil
}

// inServer is the URL of another database of the same server.
func inServer(server, name string) (string, error) {
	u, err := url.Parse(server)
	if err != nil || u.Host == "" {
		// The URL is left out: it holds the password.
		return "", errors.New("--postgres is not a postgres://user:password@host:port/database URL")
	}
	u.Path = "/" + name
	return u.String(), nil
}

// visibilityOf names the second database that a Temporal server keeps.
func visibilityOf(name string) string { return name + "_visibility" }

// execute runs one statement on a connection of its own.
func execute(ctx context.Context, server, statement string) error {
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
