package leaktest

import (
	"bytes"
	"encoding/base64"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/internal/codec"
)

// running is an engine of one test, on files that can be searched.
type running struct {
	*engine.Engine
	dir string
}

var silent = slog.New(slog.DiscardHandler)

func start(t *testing.T) running {
	t.Helper()
	dir := t.TempDir()
	e, err := engine.Start(t.Context(), engine.Config{DataDir: dir, Synchronous: engine.Normal, Logger: silent})
	require.NoError(t, err)
	t.Cleanup(e.Stop)
	return running{Engine: e, dir: dir}
}

// ringOf is a ring of keys that differ by their ids, each of which is a letter.
func ringOf(t *testing.T, ids ...string) *codec.Ring {
	t.Helper()
	entries := make([]string, len(ids))
	for i, id := range ids {
		entries[i] = id + ":" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(id), 32))
	}
	ring, err := codec.ParseRing(strings.Join(entries, ","))
	require.NoError(t, err)
	return ring
}

// dial connects to the engine as Postdate does, with what ring encrypts; nil
// connects without any codec.
func (e running) dial(t *testing.T, ring *codec.Ring) client.Client {
	t.Helper()
	options := client.Options{HostPort: e.Address(), Logger: sdklog.NewStructuredLogger(silent)}
	if ring != nil {
		options.DataConverter = codec.NewDataConverter(ring)
		options.FailureConverter = codec.NewFailureConverter(options.DataConverter)
	}
	c, err := client.Dial(options)
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

// written is all that the engine has written to its files.
func (e running) written(t *testing.T) []byte {
	t.Helper()
	var all []byte
	paths, err := filepath.Glob(filepath.Join(e.dir, "*"))
	require.NoError(t, err)
	for _, path := range paths {
		content, err := os.ReadFile(path)
		require.NoError(t, err)
		all = append(all, content...)
	}
	return all
}

// queue is where the tests' workflows wait for a worker.
const queue = "queue"

// work runs a worker until the test ends, or until stop.
func work(t *testing.T, c client.Client) (stop func()) {
	t.Helper()
	w := worker.New(c, queue, worker.Options{})
	for _, workflow := range []any{everything, child, pending, panics, asleep} {
		w.RegisterWorkflow(workflow)
	}
	for _, activity := range []any{succeed, fail, stumble, explode} {
		w.RegisterActivity(activity)
	}
	require.NoError(t, w.Start())
	stop = sync.OnceFunc(w.Stop)
	t.Cleanup(stop)
	return stop
}

// historyOf is a run's history as the engine keeps it.
func historyOf(t *testing.T, c client.Client, id, runID string) *historypb.History {
	t.Helper()
	history := &historypb.History{}
	events := c.GetWorkflowHistory(t.Context(), id, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	return history
}

// awaitEvent follows a history until an event of that kind is in it.
func awaitEvent(t *testing.T, c client.Client, id, runID string, kind enumspb.EventType) *historypb.HistoryEvent {
	t.Helper()
	events := c.GetWorkflowHistory(t.Context(), id, runID, true, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		if event.GetEventType() == kind {
			return event
		}
	}
	t.Fatalf("%s ended without %s", id, kind)
	return nil
}
