package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/postdate/postdate/examples/payments"
)

// Report is what the databases say in the end.
type Report struct {
	Requests, Paid, Expired, Pending int
	// Both came into both final states, Early expired before their time.
	Both, Early int
	// Notified is how many notifications subscribers noted, of two for each request; Missing are
	// those that are missing, Twice those that are there more than once, Wrong those that say
	// another state than the database.
	Notified, Missing, Twice, Wrong int
	// Lateness is how long after their moment requests expired.
	Lateness []time.Duration
	// Peak is the most that receivers got in a second, Total all that they got; of these so
	// many were answered 500, and of so many the answer was lost.
	Peak, Total, Failed, Lost int
}

// read reads what the databases say.
func read(ctx context.Context, db, theirs payments.Database) (Report, error) {
	var r Report
	one := func(in payments.Database, into *int, query string) error {
		if err := in.QueryRowContext(ctx, query).Scan(into); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
		return nil
	}
	err := errors.Join(
		one(db, &r.Requests, `SELECT COUNT(*) FROM payment_requests`),
		one(db, &r.Paid, `SELECT COUNT(*) FROM payment_requests WHERE state = 'PAID'`),
		one(db, &r.Expired, `SELECT COUNT(*) FROM payment_requests WHERE state = 'EXPIRED'`),
		one(db, &r.Pending, `SELECT COUNT(*) FROM payment_requests WHERE state = 'PENDING'`),
		one(db, &r.Both, `SELECT COUNT(*) FROM (SELECT request_id FROM transitions WHERE state <> 'PENDING' GROUP BY request_id HAVING COUNT(*) > 1) AS b`),
		one(db, &r.Early, `SELECT COUNT(*) FROM transitions t JOIN payment_requests r ON r.id = t.request_id WHERE t.state = 'EXPIRED' AND t.at < r.expires_at`),
		one(theirs, &r.Notified, `SELECT COUNT(*) FROM notifications`),
		one(theirs, &r.Twice, `SELECT COALESCE(SUM(n - 1), 0) FROM (SELECT COUNT(*) AS n FROM notifications GROUP BY subscriber, request_id, type HAVING COUNT(*) > 1) AS t`),
	)
	if err != nil {
		return r, err
	}
	err = errors.Join(r.readLateness(ctx, db), r.compare(ctx, db, theirs))
	return r, err
}

func (r *Report) readLateness(ctx context.Context, db payments.Database) error {
	return rows(ctx, db, `SELECT t.at - r.expires_at FROM transitions t JOIN payment_requests r ON r.id = t.request_id WHERE t.state = 'EXPIRED'`,
		func(scan func(...any) error) error {
			var late int64
			err := scan(&late)
			r.Lateness = append(r.Lateness, time.Duration(late)*time.Millisecond)
			return err
		})
}

// compare holds what subscribers were told against what became of the requests.
func (r *Report) compare(ctx context.Context, db, theirs payments.Database) error {
	notified := map[string]map[string]bool{} // by request: type, and subscriber
	err := rows(ctx, theirs, `SELECT request_id, type, subscriber FROM notifications`, func(scan func(...any) error) error {
		var id, kind, who string
		err := scan(&id, &kind, &who)
		if notified[id] == nil {
			notified[id] = map[string]bool{}
		}
		notified[id][who] = true
		notified[id][kind] = true
		return err
	})
	if err != nil {
		return err
	}
	return rows(ctx, db, `SELECT id, state FROM payment_requests`, func(scan func(...any) error) error {
		var id string
		var state payments.State
		err := scan(&id, &state)
		for _, who := range []string{"john", "doe"} {
			if !notified[id][who] {
				r.Missing++
			}
		}
		if notified[id][payments.TypePaid] && state != payments.Paid || notified[id][payments.TypeExpired] && state != payments.Expired {
			r.Wrong++
		}
		return err
	})
}

// await waits until all requests are settled and everybody was told, and reads what the
// databases say then. Where that takes too long, they say what is missing.
func await(ctx context.Context, o Options, patience time.Duration, db, theirs payments.Database, r *receivers) (Report, error) {
	err := until(ctx, patience, "not everybody was told in time", func() bool {
		report, err := read(ctx, db, theirs)
		return err == nil && report.Pending+report.Missing == 0
	})
	if err != nil {
		o.Say("%v", err)
	}
	report, err := read(ctx, db, theirs) // once more, for it all to be of one moment
	report.measure(r)
	o.Say("done")
	return report, err
}

// measure adds what the receivers saw.
func (r *Report) measure(seen *receivers) {
	r.Peak, r.Total = seen.peak()
	seen.mu.Lock()
	defer seen.mu.Unlock()
	r.Failed, r.Lost = seen.failed, seen.lost
}

// check reports what was not as it must be.
func (r *Report) check(o Options) error {
	var wrong []string
	for what, is := range map[string]bool{
		fmt.Sprintf("%d requests, not %d", r.Requests, o.Requests):        r.Requests != o.Requests,
		fmt.Sprintf("%d are PENDING", r.Pending):                          r.Pending > 0,
		fmt.Sprintf("%d are both PAID and EXPIRED", r.Both):               r.Both > 0,
		fmt.Sprintf("%d expired before their time", r.Early):              r.Early > 0,
		fmt.Sprintf("%d notifications are missing", r.Missing):            r.Missing > 0,
		fmt.Sprintf("%d notifications came twice", r.Twice):               r.Twice > 0,
		fmt.Sprintf("%d notifications are wrong", r.Wrong):                r.Wrong > 0,
		fmt.Sprintf("%d notifications, not %d", r.Notified, 2*o.Requests): r.Notified != 2*o.Requests,
	} {
		if is {
			wrong = append(wrong, what)
		}
	}
	if len(wrong) > 0 {
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// rows calls do with each row of a query.
func rows(ctx context.Context, db payments.Database, query string, do func(scan func(...any) error) error) error {
	found, err := db.QueryContext(ctx, query)
	if err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	defer func() { _ = found.Close() }()
	for found.Next() {
		if err := do(found.Scan); err != nil {
			return fmt.Errorf("read the report: %w", err)
		}
	}
	if err := found.Err(); err != nil {
		return fmt.Errorf("read the report: %w", err)
	}
	return nil
}
