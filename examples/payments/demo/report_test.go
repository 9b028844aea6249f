package main

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/examples/payments"
)

// databases has two requests that came out right: one paid, one expired two seconds late.
func databases(t *testing.T) (db, theirs payments.Database) {
	t.Helper()
	folder := t.TempDir()
	db, theirs, err := openBoth(t.Context(), filepath.Join(folder, "payments.db"), filepath.Join(folder, "subscribers.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = db.Close(), theirs.Close() })
	execute(t, db, `INSERT INTO payment_requests (id, payee, payer, cents, state, expires_at) VALUES
		('pr_1', 'John', 'Doe', 1, 'PAID', 5000), ('pr_2', 'John', 'Doe', 1, 'EXPIRED', 5000)`)
	execute(t, db, `INSERT INTO transitions VALUES ('pr_1', 'PENDING', 1), ('pr_1', 'PAID', 2), ('pr_2', 'EXPIRED', 7000)`)
	execute(t, theirs, `INSERT INTO notifications VALUES
		('john', 'pr_1', 'payment_request.paid', '', 1), ('doe', 'pr_1', 'payment_request.paid', '', 1),
		('john', 'pr_2', 'payment_request.expired', '', 1), ('doe', 'pr_2', 'payment_request.expired', '', 1)`)
	return db, theirs
}

func execute(t *testing.T, db payments.Database, statement string) {
	t.Helper()
	_, err := db.ExecContext(t.Context(), statement)
	require.NoError(t, err)
}

func TestReport_SaysWhatTheDatabasesSay(t *testing.T) {
	t.Parallel()
	db, theirs := databases(t)
	report, err := read(t.Context(), db, theirs)
	require.NoError(t, err)
	require.Equal(t, Report{Requests: 2, Paid: 1, Expired: 1, Notified: 4, Lateness: []time.Duration{2 * time.Second}}, report)
	require.NoError(t, report.check(Options{Requests: 2}))
	require.Regexp(t, `the latest +2s +2s`, table(Options{Every: time.Second}, report, report))
}

func TestReport_FindsEachFault(t *testing.T) {
	t.Parallel()
	for want, fault := range map[string]struct{ db, theirs string }{
		"1 are PENDING":               {db: `UPDATE payment_requests SET state = 'PENDING' WHERE id = 'pr_1'`},
		"1 are both PAID and EXPIRED": {db: `INSERT INTO transitions VALUES ('pr_2', 'PAID', 1)`},
		"1 expired before their time": {db: `UPDATE transitions SET at = 4999 WHERE request_id = 'pr_2'`},
		"3 requests, not 2":           {db: `INSERT INTO payment_requests (id, payee, payer, cents, state, expires_at) VALUES ('pr_3', '', '', 1, 'PAID', 1)`},
		"1 notifications are missing": {theirs: `DELETE FROM notifications WHERE subscriber = 'doe' AND request_id = 'pr_1'`},
		"1 notifications came twice":  {theirs: `INSERT INTO notifications VALUES ('doe', 'pr_1', 'payment_request.paid', '', 2)`},
		"1 notifications are wrong":   {theirs: `UPDATE notifications SET type = 'payment_request.expired' WHERE subscriber = 'doe' AND request_id = 'pr_1'`},
		"5 notifications, not 4":      {theirs: `INSERT INTO notifications VALUES ('doe', 'pr_1', 'payment_request.paid', '', 2)`},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			db, theirs := databases(t)
			if fault.db != "" {
				execute(t, db, fault.db)
			}
			if fault.theirs != "" {
				execute(t, theirs, fault.theirs)
			}
			report, err := read(t.Context(), db, theirs)
			require.NoError(t, err)
			require.ErrorContains(t, report.check(Options{Requests: 2}), want)
		})
	}
}

// The job tells each subscriber once where nothing fails, and goes on where it left off.
func TestBatchJob_ScansForWhatIsDue(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	db, theirs, err := openBoth(t.Context(), filepath.Join(folder, "payments.db"), filepath.Join(folder, "subscribers.db"))
	require.NoError(t, err)
	t.Cleanup(func() { _, _ = db.Close(), theirs.Close() })
	r := newReceivers()
	var urls []string
	for _, name := range []string{"john", "doe"} {
		url, stop, err := serve(plainReceiver(name, theirs))
		require.NoError(t, err)
		t.Cleanup(stop)
		urls = append(urls, url)
	}
	create, pay := creator(db), payer(db)
	for _, expires := range []time.Time{time.UnixMilli(1), time.Now().Add(time.Hour), time.Now().Add(time.Hour)} {
		_, err := create(t.Context(), payments.Request{From: "John", To: "Doe", Cents: 1, ExpiresAt: expires})
		require.NoError(t, err)
	}
	require.NoError(t, pay(t.Context(), "pr_2"))
	job := batchJob{db: db, urls: urls, http: newHTTP()}
	for range 2 {
		require.NoError(t, job.scan(context.WithoutCancel(t.Context())))
	}
	report, err := read(t.Context(), db, theirs)
	require.NoError(t, err)
	report.measure(r)
	require.Equal(t, []int{3, 1, 1, 1, 4, 2, 0, 0}, []int{
		report.Requests, report.Paid, report.Expired, report.Pending, report.Notified, report.Missing, report.Twice, report.Wrong,
	})
}
