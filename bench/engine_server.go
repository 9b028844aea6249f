package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/protocol"
)

// engineCommand is what the bench calls itself with to be an engine alone.
const engineCommand = "engine-server"

// serveEngine is our engine with nothing beside it, set up as "postdate dev" has
// it. On --http it answers as soon as it runs.
func serveEngine(ctx context.Context, args []string, stderr io.Writer) error {
	var database, httpPort string
	var port int
	flags := flag.NewFlagSet(engineCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&database, "postgres", "", "URL of a PostgreSQL database")
	flags.StringVar(&httpPort, "http", "", "port that answers when ready")
	flags.IntVar(&port, "temporal", 0, "port of the engine")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, attribute := range protocol.SearchAttributes {
		attributes[attribute.GetName()] = attribute.GetValueType()
	}
	running, err := engine.Start(ctx, engine.Config{
		Postgres: database, Port: port, Namespace: client.DefaultNamespace, SearchAttributes: attributes, Logger: warnings(stderr),
	})
	if err != nil {
		return fmt.Errorf("start the engine: %w", err)
	}
	defer running.Stop()
	return sayReady(ctx, httpPort)
}

// sayReady answers on the port until ctx ends.
func sayReady(ctx context.Context, httpPort string) error {
	return serveHTTP(ctx, httpPort, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// serveHTTP has h answer on the port until ctx ends.
func serveHTTP(ctx context.Context, port string, h http.Handler) error {
	server := &http.Server{Addr: net.JoinHostPort("127.0.0.1", port), Handler: h, ReadHeaderTimeout: time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return fmt.Errorf("serve port %s: %w", port, err)
	}
	return nil
}
