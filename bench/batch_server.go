package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate/signature"
)

// batchCommand is what the bench calls itself with to be the batch job.
const batchCommand = "batch-server"

// serveBatch is the batch job. On --http it takes rows (POST /), and is told when
// to scan next (PUT /?at=milliseconds), so that an instant can fall at any place
// between two scans without waiting for the clock.
func serveBatch(ctx context.Context, args []string, stderr io.Writer) error {
	var file, database, httpPort string
	var every time.Duration
	var senders int
	flags := flag.NewFlagSet(batchCommand, flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&file, "db", "", "SQLite file")
	flags.StringVar(&database, "postgres", "", "URL of a PostgreSQL database, in place of the file")
	flags.StringVar(&httpPort, "http", "", "port to serve")
	flags.DurationVar(&every, "every", time.Minute, "time from scan to scan")
	flags.IntVar(&senders, "senders", 1, "how many send at once")
	if err := flags.Parse(args); err != nil {
		return fmt.Errorf("read the flags: %w", err)
	}
	table, err := openTable(ctx, file, database)
	if err != nil {
		return err
	}
	defer func() { _ = table.db.Close() }()
	c := &scanner{table: table, senders: senders, http: keepingConnections(senders), secret: signature.NewSecret()}
	i := &intake{table: table, next: make(chan time.Time)}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.loop(ctx, every, i.next) })
	both.Go(func() error { return serveHTTP(ctx, httpPort, i) })
	return both.Wait() //nolint:wrapcheck // both say what they were about
}

// keepingConnections is a client for so many senders.
func keepingConnections(senders int) *http.Client {
	return &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
}

// intake takes rows as the bench hands them over.
type intake struct {
	table *batchTable
	// next is told the moment of the next scan.
	next chan time.Time
}

func (i *intake) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	var err error
	switch req.Method {
	case http.MethodPost:
		var r row
		if err = json.NewDecoder(req.Body).Decode(&r); err == nil {
			err = i.table.insert(req.Context(), r)
		}
	case http.MethodPut:
		var ms int64
		if _, err = fmt.Sscan(req.URL.Query().Get("at"), &ms); err == nil {
			select {
			case i.next <- time.UnixMilli(ms):
			case <-req.Context().Done():
			}
		}
	default:
		return // only whether we are ready is asked
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
