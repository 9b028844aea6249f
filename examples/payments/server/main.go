// Server runs the worked example beside a Postdate: services A and B, two subscribers, and a
// page that shows it live.
//
//	make run                              # in one terminal
//	go run ./examples/payments/server     # in another; then open http://127.0.0.1:9100
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/examples/payments"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "payments:", err)
		os.Exit(1) //nolint:gocritic // there is nothing left to stop
	}
}

type flags struct {
	http, postdate, key, data, database string
	stream, nats, natsStream            string
	remindAfter, remindEvery            time.Duration
}

func parse(args []string) (flags, error) {
	var f flags
	set := flag.NewFlagSet("payments", flag.ContinueOnError)
	set.StringVar(&f.http, "http", "127.0.0.1:9100", "where it listens")
	set.StringVar(&f.postdate, "postdate", "http://127.0.0.1:8080", "where Postdate is")
	set.StringVar(&f.key, "key", "", "Postdate's key (default $POSTDATE_KEY, or what \"postdate dev\" keeps in .postdate)")
	set.StringVar(&f.data, "data", ".payments", "folder for SQLite's files")
	set.StringVar(&f.database, "database", "", "payment requests in PostgreSQL: postgres://… (default SQLite under --data)")
	set.StringVar(&f.stream, "stream", "", "tell service B by this stream, as Postdate names it, and not by webhook")
	set.StringVar(&f.nats, "nats", "nats://127.0.0.1:4222", "with --stream: the NATS server")
	set.StringVar(&f.natsStream, "nats-stream", "PAYMENTS", "with --stream: the name of the JetStream stream there")
	set.DurationVar(&f.remindAfter, "remind-after", 4*time.Second, "when the first reminder comes, 0 for none")
	set.DurationVar(&f.remindEvery, "remind-every", 3*time.Second, "when each next one does")
	if err := set.Parse(args); err != nil {
		return flags{}, err //nolint:wrapcheck // it says what is wrong
	}
	if f.key == "" {
		f.key = os.Getenv("POSTDATE_KEY")
	}
	if f.key == "" {
		kept, err := os.ReadFile(filepath.Join(".postdate", "admin.key"))
		if err != nil {
			return flags{}, errors.New("no key: give --key, or run it where \"postdate dev\" runs")
		}
		f.key = strings.TrimSpace(string(kept))
	}
	return f, nil
}

func run(ctx context.Context, args []string) error {
	f, err := parse(args)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(f.data, 0o700); err != nil {
		return fmt.Errorf("make the folder of --data: %w", err)
	}
	api, err := client.New(f.postdate, f.key)
	if err != nil {
		return fmt.Errorf("--postdate: %w", err)
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", f.http)
	if err != nil {
		return fmt.Errorf("--http: %w", err)
	}
	url := "http://" + listener.Addr().String()
	example, err := payments.New(ctx, payments.Config{
		Database: f.database, Folder: f.data, API: api, URL: url, Stream: f.stream,
		RemindAfter: f.remindAfter, RemindEvery: f.remindEvery, Log: slog.Default(),
	})
	if err != nil {
		_ = listener.Close()
		return err
	}
	defer example.Close()
	fmt.Fprintln(os.Stdout, "open", url)

	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var running sync.WaitGroup
	running.Go(func() { example.Run(ctx) })
	if f.stream != "" {
		running.Go(func() {
			defer stop()
			if err := payments.ListenToNATS(ctx, f.nats, f.natsStream, example.B); err != nil {
				slog.Error("failed to listen to the stream", "error", err)
			}
		})
	}
	server := &http.Server{Handler: example.Handler(), ReadHeaderTimeout: 10 * time.Second, BaseContext: func(net.Listener) context.Context { return ctx }}
	context.AfterFunc(ctx, func() {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		_ = server.Shutdown(ending)
	})
	err = server.Serve(listener)
	stop()
	running.Wait()
	if !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve: %w", err)
	}
	return nil
}
