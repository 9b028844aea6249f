package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/postdate/postdate/examples/payments"
)

// batchJob is what Postdate replaces, written as such jobs are: it scans for what is due, and
// for what nobody was told of yet, works through it, and notes what is done.
type batchJob struct {
	db    payments.Database
	urls  []string // of the subscribers
	every time.Duration
	http  *http.Client
}

// senders is how many requests the job works on at once.
const senders = 8

// runBatchJob is the process that withBatchJob kills.
func runBatchJob(ctx context.Context, args []string) error {
	set := flag.NewFlagSet(batchCommand, flag.ContinueOnError)
	database := set.String("database", "", "the database of payment requests")
	every := set.Duration("every", 10*time.Second, "the interval of scans")
	if err := set.Parse(args); err != nil {
		return err //nolint:wrapcheck // it says what is wrong
	}
	db, err := payments.Open(*database)
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	job := batchJob{db: db, urls: set.Args(), every: *every, http: newHTTP()}
	for ctx.Err() == nil {
		if sleep(ctx, job.every) != nil {
			break
		}
		if err := job.scan(ctx); err != nil && ctx.Err() == nil {
			return err
		}
	}
	return nil
}

func newHTTP() *http.Client { return &http.Client{Timeout: 5 * time.Second} }

// due is a request that something is to be done about.
type due struct {
	id    string
	state payments.State
}

func (j batchJob) scan(ctx context.Context) error {
	rows, err := j.db.QueryContext(ctx, `SELECT id, state FROM payment_requests r
		WHERE state = 'PENDING' AND expires_at <= ?1
		OR state <> 'PENDING' AND (SELECT COUNT(*) FROM told WHERE request_id = r.id) < ?2`, time.Now().UnixMilli(), len(j.urls))
	if err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var all []due
	for rows.Next() {
		var d due
		if err := rows.Scan(&d.id, &d.state); err != nil {
			return fmt.Errorf("scan: %w", err)
		}
		all = append(all, d)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("scan: %w", err)
	}
	var working sync.WaitGroup
	work := make(chan due)
	for range senders {
		working.Go(func() {
			for d := range work {
				j.work(ctx, d)
			}
		})
	}
	for _, d := range all {
		work <- d
	}
	close(work)
	working.Wait()
	return nil
}

// work expires a request if it is pending, tells everybody, and notes that it has. What fails
// is left to the next scan, and so is what a kill interrupts: then some are told twice.
func (j batchJob) work(ctx context.Context, d due) {
	if d.state == payments.Pending {
		result, err := j.db.ExecContext(ctx, `UPDATE payment_requests SET state = 'EXPIRED' WHERE id = ?1 AND state = 'PENDING'`, d.id)
		if err != nil {
			return
		}
		if changed, err := result.RowsAffected(); err != nil || changed == 0 {
			return // paid meanwhile: the next scan tells
		}
		d.state = payments.Expired
		if _, err := j.db.ExecContext(ctx, `INSERT INTO transitions (request_id, state, at) VALUES (?1, 'EXPIRED', ?2)`, d.id, time.Now().UnixMilli()); err != nil {
			return
		}
	}
	for _, url := range j.urls {
		var before int
		err := j.db.QueryRowContext(ctx, `SELECT COUNT(*) FROM told WHERE request_id = ?1 AND url = ?2`, d.id, url).Scan(&before)
		if err == nil && before == 0 && j.tell(ctx, url, d) {
			_, _ = j.db.ExecContext(ctx, `INSERT INTO told (request_id, url) VALUES (?1, ?2)`, d.id, url) // or the next scan tells again
		}
	}
}

func (j batchJob) tell(ctx context.Context, url string, d due) bool {
	kind := payments.TypeExpired
	if d.state == payments.Paid {
		kind = payments.TypePaid
	}
	body, err := json.Marshal(map[string]any{"type": kind, "data": payments.About{PaymentRequest: d.id}})
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return false
	}
	answer, err := j.http.Do(request)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode < http.StatusMultipleChoices
}
