package system

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate/signature"
)

// The job reads due rows in pages, and each sender marks what it sent in chunks:
// a kill repeats at most one chunk of each sender.
const batchPage, batchChunk = 1000, 20

// scanner sends the due rows of its table.
type scanner struct {
	table   *batchTable
	senders int
	http    *http.Client
	secret  signature.Secret
}

func newScanner(table *batchTable, senders int) *scanner {
	return &scanner{table: table, senders: senders, http: keepingConnections(15*time.Second, senders), secret: signature.NewSecret()}
}

// loop scans at intervals until ctx ends or the table fails. A time from next is when
// the next scan is; the others follow at the interval.
func (c *scanner) loop(ctx context.Context, every time.Duration, next <-chan time.Time) error {
	at := time.Now().Add(every)
	for {
		select {
		case <-ctx.Done():
			return nil
		case at = <-next:
		case <-time.After(time.Until(at)):
			if err := c.scan(ctx); err != nil && ctx.Err() == nil {
				return err
			}
			for !at.After(time.Now()) {
				at = at.Add(every) // one scan at a time: those that are due during it are left out
			}
		}
	}
}

// scan goes once through all that is due. What fails stays for the next scan.
func (c *scanner) scan(ctx context.Context) error {
	now := time.Now()
	var last row
	for {
		due, err := c.table.due(ctx, now, last, batchPage)
		if err != nil {
			return err
		}
		if err := c.sendAll(ctx, due); err != nil || len(due) < batchPage {
			return err
		}
		last = due[len(due)-1]
	}
}

// sendAll deals a page to the senders.
func (c *scanner) sendAll(ctx context.Context, due []row) error {
	senders, ctx := errgroup.WithContext(ctx)
	senders.SetLimit(c.senders)
	for chunk := range slices.Chunk(due, batchChunk) {
		senders.Go(func() error { return c.sendChunk(ctx, chunk) })
	}
	return senders.Wait() //nolint:wrapcheck // it names what failed
}

// sendChunk sends one after another, and marks those that were accepted.
func (c *scanner) sendChunk(ctx context.Context, chunk []row) error {
	var sent []string
	for _, r := range chunk {
		if c.post(ctx, r) == nil {
			sent = append(sent, r.ID)
		}
	}
	return c.table.sent(ctx, sent)
}

// post makes one attempt, signed by Standard Webhooks.
func (c *scanner) post(ctx context.Context, r row) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.URL, bytes.NewReader(r.Body))
	if err != nil {
		return fmt.Errorf("post %s: %w", r.ID, err)
	}
	now := time.Now()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Webhook-Id", r.ID)
	req.Header.Set("Webhook-Timestamp", strconv.FormatInt(now.Unix(), 10))
	req.Header.Set("Webhook-Signature", signature.Sign(r.ID, now, r.Body, c.secret))
	return expectSuccess(c.http, req)
}
