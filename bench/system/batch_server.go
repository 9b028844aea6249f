package system

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// serveBatch is the batch job. On --http it takes rows (POST /), and the time of the
// next scan (PUT /?at=milliseconds), so that an instant can fall at any place between
// two scans without waiting for the clock.
func serveBatch(ctx context.Context, args []string, stderr io.Writer) error {
	flags := newCommandFlags(batchCommand, stderr)
	file := flags.String("db", "", "SQLite file")
	every := flags.Duration("every", time.Minute, "time from scan to scan")
	senders := flags.Int("senders", 1, "how many send at once")
	if err := flags.parse(args); err != nil {
		return err
	}
	table, err := openTable(ctx, *file, flags.postgres)
	if err != nil {
		return err
	}
	defer func() { _ = table.db.Close() }()
	c := newScanner(table, *senders)
	in := &intake{table: table, next: make(chan time.Time)}
	both, ctx := errgroup.WithContext(ctx)
	both.Go(func() error { return c.loop(ctx, *every, in.next) })
	both.Go(func() error { return serveHTTP(ctx, flags.httpPort, in) })
	return both.Wait() //nolint:wrapcheck // both name what failed
}

// intake takes rows as the bench posts them.
type intake struct {
	table *batchTable
	next  chan time.Time // when the next scan is
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
		return // a check whether the system is ready
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
