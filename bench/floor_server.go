package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"runtime/debug"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
)

// floorCommand is what the bench calls itself with to be the floor.
const floorCommand = "floor-server"

// warnings is a logger for what an engine has to say when something is wrong.
func warnings(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// serveFloor is the floor: our engine, and a worker for an execution that does
// nothing. On --http it answers as soon as both run, and starts executions.
func serveFloor(ctx context.Context, args []string, stderr io.Writer) error {
	var data, database, httpPort string
	flags := flag.NewFlagSet(floorCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&data, "data", "", "folder for SQLite's files")
	flags.StringVar(&database, "postgres", "", "URL of a PostgreSQL database, in place of the folder")
	flags.StringVar(&httpPort, "http", "", "port to serve")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	debug.SetGCPercent(engine.GCPercent) // as "postdate dev" does
	running, err := engine.Start(ctx, engine.Config{
		DataDir: data, Postgres: database, Namespace: client.DefaultNamespace, Logger: warnings(stderr),
	})
	if err != nil {
		return fmt.Errorf("start the floor's engine: %w", err)
	}
	defer running.Stop()
	c, err := client.DialContext(ctx, client.Options{
		HostPort: running.Address(), Logger: silent{},
		ConnectionOptions: client.ConnectionOptions{GrpcCompression: &client.GrpcCompressionNone{}},
	})
	if err != nil {
		return fmt.Errorf("dial the floor's engine: %w", err)
	}
	defer c.Close()
	r := &runs{client: c}
	w := r.worker()
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the floor's worker: %w", err)
	}
	defer w.Stop()
	return serveHTTP(ctx, httpPort, r)
}
