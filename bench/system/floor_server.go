package system

import (
	"context"
	"fmt"
	"io"
	"runtime/debug"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
)

// serveFloor is the floor: Postdate's engine, and a worker for an execution that does
// nothing. On --http it answers as soon as both run, and starts executions.
func serveFloor(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newCommandFlags(floorCommand, stderr)
	data := flags.String("data", "", "folder for SQLite's files")
	if err := flags.parse(args); err != nil {
		return err
	}
	debug.SetGCPercent(engine.GCPercent) // as "postdate dev" does
	running, err := engine.Start(ctx, engine.Config{
		DataDir: *data, Postgres: flags.postgres, Namespace: client.DefaultNamespace, Logger: warnings(stderr),
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
	runs := &floorRuns{client: c, ran: make(chan string, 1000)}
	w := runs.worker()
	if err := w.Start(); err != nil {
		return fmt.Errorf("start the floor's worker: %w", err)
	}
	defer w.Stop()
	return serveHTTP(ctx, flags.httpPort, runs)
}
