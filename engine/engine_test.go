package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"
)

const queue = "engine-test"

// attributes are Postdate's.
var attributes = map[string]enumspb.IndexedValueType{
	"Tenant":      enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"State":       enumspb.INDEXED_VALUE_TYPE_KEYWORD,
	"Entity":      enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	"Endpoint":    enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
	"MessageType": enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST,
}

func greet(_ workflow.Context, name string) (string, error) {
	if name == "" {
		return "", errors.New("nobody to greet")
	}
	return "hello " + name, nil
}

// start starts an engine that ends with the test.
func start(t *testing.T, c Config) *Engine {
	t.Helper()
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	e, err := Start(t.Context(), c)
	require.NoError(t, err)
	t.Cleanup(e.Stop)
	return e
}

func dial(t *testing.T, e *Engine) client.Client {
	t.Helper()
	c, err := client.Dial(client.Options{
		HostPort: e.Address(),
		Logger:   sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	require.NoError(t, err)
	t.Cleanup(c.Close)
	return c
}

func work(t *testing.T, c client.Client) {
	t.Helper()
	w := worker.New(c, queue, worker.Options{})
	w.RegisterWorkflow(greet)
	require.NoError(t, w.Start())
	t.Cleanup(w.Stop)
}

func TestStart_RunsAWorkflowInMemory(t *testing.T) {
	t.Parallel()
	c := dial(t, start(t, Config{Memory: true}))
	work(t, c)

	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, greet, "you")
	require.NoError(t, err)
	var greeting string
	require.NoError(t, run.Get(t.Context(), &greeting))
	require.Equal(t, "hello you", greeting)
}

func TestStart_OnTheSameFolderGoesOnWithWhatWasDelayed(t *testing.T) {
	t.Parallel()
	goesOnWithWhatWasDelayed(t, Config{DataDir: t.TempDir()})
}

func goesOnWithWhatWasDelayed(t *testing.T, config Config) {
	t.Helper()
	first := start(t, config)
	due := time.Now().Add(3 * time.Second)
	run, err := dial(t, first).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: "delayed", TaskQueue: queue, StartDelay: time.Until(due),
	}, greet, "later")
	require.NoError(t, err)
	first.Stop()

	c := dial(t, start(t, config))
	work(t, c)
	var greeting string
	require.NoError(t, c.GetWorkflow(t.Context(), "delayed", run.GetRunID()).Get(t.Context(), &greeting))
	require.Equal(t, "hello later", greeting)
	require.False(t, time.Now().Before(due), "it fired before its time")
}

func TestStop_FreesTheFolderAndThePort(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir(), Port: choosePorts(0).frontend}
	start(t, config).Stop()
	start(t, config).Stop()
}

func TestStart_LogsNothingWhenAllIsWell(t *testing.T) {
	t.Parallel()
	var log logBuffer
	e := start(t, Config{DataDir: t.TempDir(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c := dial(t, e)
	work(t, c)
	run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, greet, "you")
	require.NoError(t, err)
	require.NoError(t, run.Get(t.Context(), nil))
	e.Stop()
	require.Empty(t, log.String())
}

func TestStart_TellsInOneLineWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	running := start(t, Config{DataDir: t.TempDir(), UIPort: choosePorts(0).frontend})
	taken := func(url string) int {
		_, port, _ := strings.Cut(url, "127.0.0.1:")
		return atoi(t, port)
	}
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"Temporal's port is taken": {
			Config{Memory: true, Port: taken(running.Address())}, "for Temporal: address already in use",
		},
		"the web UI's port is taken": {
			Config{Memory: true, UIPort: taken(running.UIURL())}, "for the web UI: address already in use",
		},
		"an address that is not ours": {
			Config{Memory: true, Host: "192.0.2.1"}, "cannot listen on 192.0.2.1:",
		},
		"the folder is in use": {
			Config{DataDir: running.dir(t)}, "is in use by process ",
		},
		"the folder is a file": {
			Config{DataDir: file(t, "")}, ": not a directory",
		},
		"the folder's parent is a file": {
			Config{DataDir: file(t, "") + "/below"}, ": not a directory",
		},
		"the database is something else": {
			Config{DataDir: folderWith(t, "temporal.db", strings.Repeat("no database", 1000))}, "file is not a database",
		},
		"no folder": {
			Config{}, "no data folder is named",
		},
		"two places to keep data": {
			Config{Memory: true, Postgres: "postgres://localhost/postdate"}, "not both",
		},
		"an unknown synchronous": {
			Config{Memory: true, Synchronous: "sometimes"}, `not "sometimes"`,
		},
		"a host name": {
			Config{Memory: true, Host: "example.com"}, `host "example.com" is not an IP address`,
		},
		"PostgreSQL is not there": {
			Config{Postgres: "postgres://u:secret@127.0.0.1:1/postdate"}, "PostgreSQL database postdate at 127.0.0.1:1: connection refused",
		},
		"PostgreSQL's host is unknown": {
			Config{Postgres: "postgres://u:secret@nowhere.invalid/postdate"}, "PostgreSQL database postdate at nowhere.invalid:5432: ",
		},
		"PostgreSQL's database is not named": {
			Config{Postgres: "postgres://u:secret@127.0.0.1:1/?user=u"}, "names no database",
		},
		"another database": {
			Config{Postgres: "mysql://u:secret@127.0.0.1/postdate"}, "not a postgres:// URL",
		},
		"too many attributes": {
			Config{Memory: true, SearchAttributes: lists("A", "B", "C", "D")}, "no room for search attribute D",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			test.config.Logger = slog.New(slog.NewTextHandler(&log, nil))
			began := time.Now()
			_, err := Start(t.Context(), test.config)
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
			require.NotContains(t, err.Error(), "secret")
			require.Less(t, time.Since(began), 10*time.Second)
			require.Empty(t, log.String())
		})
	}
}

func TestStart_EndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Start(ctx, Config{DataDir: t.TempDir(), Logger: slog.New(slog.DiscardHandler)})
	require.ErrorIs(t, err, context.Canceled)
}

// logBuffer takes a log from many goroutines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
