// Command river is what a Go team with PostgreSQL would write in Postdate's place: a
// River queue of scheduled jobs, and a worker that signs and posts each message. The
// bench runs it as a child process, and posts messages to it over HTTP.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "river:", err)
		os.Exit(1)
	}
}

// run works jobs and takes messages until ctx ends. On --http it answers as
// soon as it does both.
func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("river", flag.ContinueOnError)
	database := flags.String("db", "", "PostgreSQL's URL")
	port := flags.String("http", "", "port of the loopback address to take messages on")
	workers := flags.Int("workers", 100, "jobs worked at once")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	pool, err := connect(ctx, *database)
	if err != nil {
		return err
	}
	defer pool.Close()
	queue, err := newQueue(pool, *workers)
	if err != nil {
		return err
	}
	if err := queue.Start(ctx); err != nil {
		return fmt.Errorf("start River: %w", err)
	}
	server := &http.Server{
		Addr: net.JoinHostPort("127.0.0.1", *port), Handler: intake{queue}, ReadHeaderTimeout: time.Second,
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); ctx.Err() == nil {
		return fmt.Errorf("take messages: %w", err)
	}
	<-queue.Stopped()
	return nil
}

// connect opens the pool, and makes River's tables.
func connect(ctx context.Context, database string) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(database)
	if err != nil {
		return nil, errors.New("the database is not a PostgreSQL URL")
	}
	// Inserts and workers share them. With pgxpool's own default, four or one for each
	// core, most of them would wait.
	config.MaxConns = 30
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect to the database: %w", err)
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err == nil {
		_, err = migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	}
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("make River's tables: %w", err)
	}
	return pool, nil
}

// newQueue leaves River's settings at their defaults, but for the number of
// workers, which has none, and for the log, of which warnings are enough.
func newQueue(pool *pgxpool.Pool, workers int) (*river.Client[pgx.Tx], error) {
	works := river.NewWorkers()
	river.AddWorker(works, newPoster())
	queue, err := river.NewClient(riverpgxv5.New(pool), &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: workers}},
		Workers: works,
		Logger:  slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return nil, fmt.Errorf("make River's client: %w", err)
	}
	return queue, nil
}

// intake takes messages by POST, and answers 204 once the job is committed.
type intake struct{ queue *river.Client[pgx.Tx] }

func (i intake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if req.Method != http.MethodPost {
		return // a check whether the program is ready
	}
	var m message
	if err := json.NewDecoder(req.Body).Decode(&m); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	options := &river.InsertOpts{}
	if m.Due != 0 {
		options.ScheduledAt = time.UnixMilli(m.Due)
	}
	if _, err := i.queue.Insert(req.Context(), m, options); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
