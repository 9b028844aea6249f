package system

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The commands by which the bench's executable knows which system to be.
const (
	batchCommand  = "batch-server"
	engineCommand = "engine-server"
	floorCommand  = "floor-server"
	naiveCommand  = "naive-server"
)

// Commands are the systems that are programs of the bench itself, by the first
// argument of the child process.
func Commands() map[string]func(ctx context.Context, args []string, stderr io.Writer) error {
	return map[string]func(context.Context, []string, io.Writer) error{
		batchCommand:  serveBatch,
		engineCommand: serveEngine,
		floorCommand:  serveFloor,
		naiveCommand:  serveNaive,
	}
}

// commandFlags are a command's flags, with those that all of them have.
type commandFlags struct {
	*flag.FlagSet

	postgres string
	httpPort string
}

func newCommandFlags(command string, stderr io.Writer) *commandFlags {
	f := &commandFlags{FlagSet: flag.NewFlagSet(command, flag.ContinueOnError)}
	f.SetOutput(stderr)
	f.StringVar(&f.postgres, "postgres", "", "URL of a PostgreSQL database, in place of files")
	f.StringVar(&f.httpPort, "http", "", "port that answers when ready")
	return f
}

func (f *commandFlags) parse(args []string) error {
	if err := f.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	return nil
}

// serveReady answers on the port until ctx ends.
func serveReady(ctx context.Context, port string) error {
	return serveHTTP(ctx, port, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
}

// serveHTTP serves h on the port until ctx ends.
func serveHTTP(ctx context.Context, port string, h http.Handler) error {
	server := &http.Server{Addr: net.JoinHostPort("127.0.0.1", port), Handler: h, ReadHeaderTimeout: time.Second}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return fmt.Errorf("serve port %s: %w", port, err)
	}
	return nil
}

// warnings is a logger for what goes wrong in an engine.
func warnings(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// silent is a logger that writes nothing.
type silent struct{}

func (silent) Debug(string, ...any) {}
func (silent) Info(string, ...any)  {}
func (silent) Warn(string, ...any)  {}
func (silent) Error(string, ...any) {}
