package system

import (
	"context"
	"fmt"
	"io"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
)

// serveEngine is Postdate's engine with nothing beside it, set up as "postdate dev"
// does. On --http it answers as soon as it runs.
func serveEngine(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newCommandFlags(engineCommand, stderr)
	port := flags.Int("temporal", 0, "port of the engine")
	if err := flags.parse(args); err != nil {
		return err
	}
	running, err := engine.Start(ctx, engine.Config{
		Postgres: flags.postgres, Port: *port, Namespace: client.DefaultNamespace, SearchAttributes: searchAttributes(), Logger: warnings(stderr),
	})
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	defer running.Stop()
	return serveReady(ctx, flags.httpPort)
}
