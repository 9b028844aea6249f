// Package enginetest starts Temporal, and a worker on it, for tests.
package enginetest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"testing"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"

	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/protocol"
)

// Quiet discards all lines.
var Quiet = slog.New(slog.DiscardHandler)

// Start starts an engine in memory that knows our search attributes, and returns a
// client of it. The options may be changed before it is dialled.
func Start(change ...func(*client.Options)) (client.Client, func(), error) {
	return StartOn("", change...)
}

// StartOn is [Start] on a PostgreSQL database of that URL, or in memory where it is empty.
func StartOn(postgres string, change ...func(*client.Options)) (client.Client, func(), error) {
	started, err := engine.Start(context.Background(), engine.Config{
		Memory: postgres == "", Postgres: postgres,
		Namespace: client.DefaultNamespace, SearchAttributes: SearchAttributes(), Logger: Quiet,
	})
	if err != nil {
		return nil, nil, err
	}
	options := client.Options{HostPort: started.Address(), Logger: log.NewStructuredLogger(Quiet)}
	for _, change := range change {
		change(&options)
	}
	c, err := client.Dial(options)
	if err != nil {
		started.Stop()
		return nil, nil, fmt.Errorf("dial the engine: %w", err)
	}
	return c, func() { c.Close(); started.Stop() }, nil
}

// SearchAttributes are ours, by their names.
func SearchAttributes() map[string]enumspb.IndexedValueType {
	attributes := make(map[string]enumspb.IndexedValueType)
	for _, key := range protocol.SearchAttributes {
		attributes[key.GetName()] = key.GetValueType()
	}
	return attributes
}

// Main runs the tests of a package on what start has started, and stops it after them.
func Main(m *testing.M, start func() (stop func(), err error)) {
	stop, err := start()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1) //nolint:revive // it is a package's TestMain
	}
	code := m.Run()
	stop()
	os.Exit(code) //nolint:revive // the same
}
