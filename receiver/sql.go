package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// pruneBatch is how many marks one statement deletes: so many are locked at a time.
const pruneBatch = 1000

// SQLStore keeps marks in a table of the database in which the work happens, so
// that both are committed by the same transaction.
type SQLStore struct {
	db       *sql.DB
	dialect  Dialect
	consumer string
	say      statements
}

// SQL makes a store in db. consumer names the receiver: each consumer handles
// each message once. Messages of two senders that choose their ids themselves
// must not share a consumer.
//
// A function that gets a transaction of this store must not commit it or roll it
// back, must return the errors of its statements, and must not execute statements
// that commit by themselves (in MySQL, all that change a schema). The isolation
// level is the database's default; all of them will do.
func SQL(db *sql.DB, dialect Dialect, consumer string) *SQLStore {
	return &SQLStore{db: db, dialect: dialect, consumer: consumer, say: dialect.statements()}
}

// CreateTable creates the table of marks, receiver_marks, unless it is there. While
// the database is busy it waits until ctx is done.
func (s *SQLStore) CreateTable(ctx context.Context) error {
	if err := s.validate(); err != nil {
		return err
	}
	for _, statement := range s.say.schema {
		err := whileBusy(ctx, func() error {
			// Of two processes that create it at the same time one fails in
			// PostgreSQL, in spite of IF NOT EXISTS; the table is there then.
			if _, err := affected(s.db.ExecContext(ctx, statement)); err == nil {
				return nil
			}
			_, err := affected(s.db.ExecContext(ctx, statement))
			return err
		})
		if err != nil {
			return fmt.Errorf("create the table receiver_marks: %w", err)
		}
	}
	return nil
}

// Once is the method of [Store].
func (s *SQLStore) Once(ctx context.Context, id string, sentAt time.Time, work Work[*sql.Tx]) (Mark, error) {
	tx, mark, err := s.begin(ctx, id, sentAt)
	if err != nil || mark.Duplicate {
		return mark, err
	}
	defer func() { _ = tx.Rollback() }() // after a panic too; after the commit it does nothing
	to, err := work(ctx, tx)
	if err != nil {
		return Mark{}, err
	}
	if err := s.settle(ctx, tx, id, to); err != nil {
		return Mark{}, fmt.Errorf("complete the mark: %w", err)
	}
	if err := tx.Commit(); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err() // database/sql had rolled back, and its error does not say why
		}
		return Mark{}, fmt.Errorf("commit: %w", err)
	}
	return Mark{RescheduleTo: to}, nil
}

// Prune deletes the consumer's marks that are older than olderThan; 0 stands for
// [DefaultKeep]. It returns how many there were. A daily call is enough. While the
// database is busy it waits until ctx is done.
func (s *SQLStore) Prune(ctx context.Context, olderThan time.Duration) (int64, error) {
	from, err := keepFrom(olderThan)
	if err != nil {
		return 0, err
	}
	args := []any{s.consumer, from.Unix(), pruneBatch}
	if s.dialect == MySQL { // its parameters have no numbers
		args = []any{s.consumer, from.Unix(), from.Unix(), pruneBatch}
	}
	for pruned := int64(0); ; {
		var deleted int64
		err := whileBusy(ctx, func() (err error) {
			deleted, err = affected(s.db.ExecContext(ctx, s.say.prune, args...))
			return err
		})
		pruned += deleted
		if err != nil {
			return pruned, fmt.Errorf("prune marks: %w", err)
		}
		if deleted < pruneBatch {
			return pruned, nil
		}
	}
}

// begin begins a transaction that holds the message's mark. The work has not begun
// then, so what a busy database refused can be repeated. The transaction is nil
// where an error or a duplicate is returned.
func (s *SQLStore) begin(ctx context.Context, id string, sentAt time.Time) (tx *sql.Tx, mark Mark, err error) {
	err = whileBusy(ctx, func() (err error) {
		tx, mark, err = s.mark(ctx, id, sentAt)
		return err
	})
	if err != nil {
		return nil, Mark{}, fmt.Errorf("mark the message: %w", err)
	}
	return tx, mark, nil
}

// mark makes one attempt to begin a transaction that holds the message's mark.
func (s *SQLStore) mark(ctx context.Context, id string, sentAt time.Time) (*sql.Tx, Mark, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, Mark{}, fmt.Errorf("begin: %w", err)
	}
	mark, err := s.markIn(ctx, tx, id, sentAt)
	if err != nil || mark.Duplicate {
		_ = tx.Rollback() // nothing was written, and the connection is released either way
		return nil, mark, err
	}
	return tx, mark, nil
}

// markIn inserts the message's mark, or takes the mark of a message that is needed
// again. The insertion is the transaction's first statement: it waits for another
// copy's transaction, and in SQLite for the one writer, and the statements after it
// see what those have committed.
func (s *SQLStore) markIn(ctx context.Context, tx *sql.Tx, id string, sentAt time.Time) (Mark, error) {
	now := time.Now().Unix()
	inserted, err := affected(tx.ExecContext(ctx, s.say.insert, s.consumer, id, now))
	if err != nil || inserted > 0 {
		return Mark{}, err
	}
	seconds, found, err := number(tx.QueryRowContext(ctx, s.say.find, s.consumer, id))
	switch {
	case err != nil:
		return Mark{}, err
	case !found:
		return Mark{}, fmt.Errorf("%w: the mark was pruned in between", ErrBusy)
	case seconds == 0:
		return Mark{Duplicate: true}, nil
	}
	if to := time.Unix(seconds, 0).UTC(); !due(to, sentAt) {
		return Mark{Duplicate: true, RescheduleTo: to}, nil
	}
	taken, err := affected(tx.ExecContext(ctx, s.say.take, now, s.consumer, id, seconds))
	if err == nil && taken == 0 {
		err = fmt.Errorf("%w: another copy took the mark", ErrBusy)
	}
	return Mark{}, err
}

// settle completes the mark after the work.
func (s *SQLStore) settle(ctx context.Context, tx *sql.Tx, id string, to time.Time) error {
	if !to.IsZero() {
		changed, err := affected(tx.ExecContext(ctx, s.say.reschedule, to.Unix(), s.consumer, id))
		if err == nil && changed == 0 {
			err = errMarkGone
		}
		return err
	}
	if s.say.confirm == "" {
		return nil
	}
	_, found, err := number(tx.QueryRowContext(ctx, s.say.confirm, s.consumer, id))
	if err == nil && !found {
		err = errMarkGone
	}
	return err
}

// errMarkGone: MySQL rolls a transaction back for a deadlock and lets the
// statements after it take effect one by one.
var errMarkGone = errors.New("the database rolled the transaction back while the function ran: return the errors of its statements")

func (s *SQLStore) validate() error {
	switch {
	case s.db == nil:
		return errors.New("SQL: the database is nil")
	case s.say.insert == "":
		return fmt.Errorf("SQL: %s is not a dialect: use PostgreSQL, SQLite or MySQL", s.dialect)
	case s.consumer == "" || len(s.consumer) > maxID:
		return fmt.Errorf("SQL: the consumer's name must have 1 to %d bytes", maxID)
	}
	return nil
}

// affected is how many rows a statement has changed.
func affected(result sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	rows, err := result.RowsAffected()
	if err != nil {
		return 0, fmt.Errorf("count the affected rows: %w", err)
	}
	return rows, nil
}

// number is the one number in row, if there is a row.
func number(row *sql.Row) (value int64, found bool, err error) {
	switch err := row.Scan(&value); {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("read the mark: %w", err)
	}
	return value, true, nil
}
