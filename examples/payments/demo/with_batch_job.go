package main

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/postdate/postdate/examples/payments"
)

// withBatchJob has the same requests expire by a batch job, which is killed in the middle of
// a scan.
func withBatchJob(ctx context.Context, o Options) (Report, error) {
	folder, err := os.MkdirTemp("", "postdate-demo-")
	if err != nil {
		return Report{}, err //nolint:wrapcheck // it says what is wrong
	}
	defer func() { _ = os.RemoveAll(folder) }()
	database := filepath.Join(folder, "payments.db")
	db, theirs, err := openBoth(ctx, database, filepath.Join(folder, "subscribers.db"))
	if err != nil {
		return Report{}, err
	}
	defer func() { _, _ = db.Close(), theirs.Close() }()

	r := newReceivers()
	mux := http.NewServeMux()
	for _, name := range []string{"john", "doe"} {
		mux.Handle("POST /"+name, r.unreliable(plainReceiver(name, theirs)))
	}
	url, stop, err := serve(mux)
	if err != nil {
		return Report{}, err
	}
	defer stop()
	self, err := os.Executable()
	if err != nil {
		return Report{}, err //nolint:wrapcheck // it says what is wrong
	}
	startJob := func() (*process, error) {
		return start(filepath.Join(folder, "batch.log"), nil, self, batchCommand, "-database", database, "-every", o.Every.String(), url+"/john", url+"/doe")
	}
	job, err := startJob()
	if err != nil {
		return Report{}, err
	}
	defer func() { job.stop() }()

	o.Say("the same with a batch job that scans every %s", o.Every)
	var disturbing sync.WaitGroup
	var disturbed error
	disturbing.Go(func() {
		disturbed = disturbBatchJob(ctx, o, r, func() error {
			job.kill()
			next, err := startJob()
			if err == nil {
				job = next
			}
			return err
		})
	})
	err = carryOut(ctx, plan(o), creator(db), payer(db))
	disturbing.Wait()
	if err := errors.Join(err, disturbed); err != nil {
		return Report{}, err
	}
	return await(ctx, o, time.Minute+6*o.Every, db, theirs, r)
}

func openBoth(ctx context.Context, ours, others string) (db, theirs payments.Database, err error) {
	if db, err = payments.Open(ours); err != nil {
		return db, theirs, err
	}
	if theirs, err = payments.Open(others); err != nil {
		return db, theirs, err
	}
	if err := db.CreateTables(ctx); err != nil {
		return db, theirs, err
	}
	_, err = db.ExecContext(ctx, `CREATE TABLE told (request_id TEXT, url TEXT, PRIMARY KEY (request_id, url))`)
	return db, theirs, errors.Join(err, payments.CreateNotifications(ctx, theirs))
}

// disturbBatchJob kills the job while it tells the subscribers what it has found; and one
// receiver is away for a fifth of the time.
func disturbBatchJob(ctx context.Context, o Options, r *receivers, kill func() error) error {
	if err := sleep(ctx, o.First+o.Window/5); err != nil {
		return err
	}
	r.goAway("/doe", o.Window/5)
	if err := sleep(ctx, o.Window*3/10); err != nil {
		return err
	}
	count := func() (n int) {
		_, n = r.peak()
		return n
	}
	scanned := count()
	if err := until(ctx, 2*o.Every, "the batch job does not scan", func() bool { return count() >= scanned+senders }); err != nil {
		return err
	}
	if err := kill(); err != nil {
		return err
	}
	o.Say("kill -9 of the batch job in the middle of a scan, and started again")
	return nil
}

// plainReceiver is a receiver as most are written: it does what it is told, each time.
func plainReceiver(name string, theirs payments.Database) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var m struct {
			Type string         `json:"type"`
			Data payments.About `json:"data"`
		}
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		_, err := theirs.ExecContext(r.Context(), `INSERT INTO notifications (subscriber, request_id, type, message_id, at) VALUES (?1, ?2, ?3, '', ?4)`,
			name, m.Data.PaymentRequest, m.Type, time.Now().UnixMilli())
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
}

// creator creates requests as service A does, but for Postdate.
func creator(db payments.Database) func(context.Context, payments.Request) (payments.Request, error) {
	var mu sync.Mutex
	next := 0
	return func(ctx context.Context, r payments.Request) (payments.Request, error) {
		mu.Lock()
		next++
		r.ID = fmt.Sprintf("pr_%d", next)
		mu.Unlock()
		_, err := db.ExecContext(ctx, `INSERT INTO payment_requests (id, payee, payer, cents, state, expires_at) VALUES (?1, ?2, ?3, ?4, 'PENDING', ?5)`,
			r.ID, r.From, r.To, r.Cents, r.ExpiresAt.UnixMilli())
		return r, err //nolint:wrapcheck // it says what is wrong
	}
}

// payer pays a request, unless it has expired.
func payer(db payments.Database) func(context.Context, string) error {
	return func(ctx context.Context, id string) error {
		tx, err := db.BeginTx(ctx, nil)
		if err != nil {
			return err //nolint:wrapcheck // it says what is wrong
		}
		defer func() { _ = tx.Rollback() }()
		won, err := affected(tx.ExecContext(ctx, `UPDATE payment_requests SET state = 'PAID' WHERE id = ?1 AND state = 'PENDING'`, id))
		if err != nil || !won {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO transitions (request_id, state, at) VALUES (?1, 'PAID', ?2)`, id, time.Now().UnixMilli()); err != nil {
			return err //nolint:wrapcheck // it says what is wrong
		}
		return tx.Commit()
	}
}

func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	changed, err := result.RowsAffected()
	return changed > 0, err //nolint:wrapcheck // it says what is wrong
}
