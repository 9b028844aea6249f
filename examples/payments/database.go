package payments

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // PostgreSQL
	_ "modernc.org/sqlite"             // SQLite

	"github.com/postdate/postdate/receiver"
)

// Database is the database of payment requests, or that of a subscriber.
type Database struct {
	*sql.DB

	Dialect receiver.Dialect
}

// Open opens the PostgreSQL database that a postgres:// url names, or a file of SQLite.
func Open(source string) (Database, error) {
	driver, dialect := "pgx", receiver.PostgreSQL
	if !strings.HasPrefix(source, "postgres://") {
		driver, dialect = "sqlite", receiver.SQLite
		source = "file:" + source + "?_txlock=immediate&_pragma=journal_mode(wal)&_pragma=busy_timeout(20000)&_pragma=synchronous(normal)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return Database{}, fmt.Errorf("open the database: %w", err)
	}
	db.SetMaxOpenConns(16)
	return Database{db, dialect}, nil
}

// schema is what services A and B keep. Moments are milliseconds since 1970.
const schema = `
CREATE TABLE IF NOT EXISTS payment_requests (
	id         TEXT PRIMARY KEY,
	payee      TEXT NOT NULL,
	payer      TEXT NOT NULL,
	cents      BIGINT NOT NULL,
	state      TEXT NOT NULL CHECK (state IN ('PENDING', 'PAID', 'EXPIRED')),
	expires_at BIGINT NOT NULL,
	reminders  INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS payment_requests_by_state ON payment_requests (state, expires_at);
CREATE TABLE IF NOT EXISTS transitions (
	request_id TEXT NOT NULL,
	state      TEXT NOT NULL,
	at         BIGINT NOT NULL
);
CREATE INDEX IF NOT EXISTS transitions_by_request ON transitions (request_id);
CREATE TABLE IF NOT EXISTS outbox (
	number     {number} PRIMARY KEY,
	service    TEXT NOT NULL,
	request_id TEXT NOT NULL,
	call       TEXT NOT NULL,
	body       TEXT NOT NULL
)`

// CreateTables creates what services A and B keep.
func (d Database) CreateTables(ctx context.Context) error {
	number := "BIGINT GENERATED ALWAYS AS IDENTITY"
	if d.Dialect == receiver.SQLite {
		number = "INTEGER"
	}
	return d.create(ctx, strings.Replace(schema, "{number}", number, 1))
}

func (d Database) create(ctx context.Context, statements string) error {
	for statement := range strings.SplitSeq(statements, ";") {
		if _, err := d.ExecContext(ctx, statement); err != nil {
			return fmt.Errorf("create the tables: %w", err)
		}
	}
	return nil
}

// say is a statement as the database has it: SQLite's parameters are ?1, not $1.
func (d Database) say(statement string) string {
	if d.Dialect == receiver.SQLite {
		return strings.ReplaceAll(statement, "$", "?")
	}
	return statement
}

// settle moves a pending request to a final state, and reports whether it was this call that
// did. However many try, paying and expiring together, the row lets one through.
func (d Database) settle(ctx context.Context, tx *sql.Tx, id string, to State) (bool, error) {
	result, err := tx.ExecContext(ctx, d.say(`UPDATE payment_requests SET state = $1 WHERE id = $2 AND state = 'PENDING'`), to, id)
	if err != nil {
		return false, fmt.Errorf("settle %s: %w", id, err)
	}
	if changed, err := result.RowsAffected(); err != nil || changed == 0 {
		return false, err //nolint:wrapcheck // neither driver fails here
	}
	return true, d.note(ctx, tx, id, to)
}

// note writes down that a request came into a state, and when.
func (d Database) note(ctx context.Context, tx *sql.Tx, id string, state State) error {
	_, err := tx.ExecContext(ctx, d.say(`INSERT INTO transitions (request_id, state, at) VALUES ($1, $2, $3)`), id, state, time.Now().UnixMilli())
	if err != nil {
		return fmt.Errorf("note that %s is %s: %w", id, state, err)
	}
	return nil
}

var errNoRequest = errors.New("no such payment request")

// find reads a request, in a transaction or outside.
func (d Database) find(ctx context.Context, in interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}, id string,
) (Request, error) {
	row := in.QueryRowContext(ctx, d.say(`SELECT id, payee, payer, cents, state, expires_at, reminders FROM payment_requests WHERE id = $1`), id)
	r, err := scan(row.Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Request{}, errNoRequest
	}
	return r, err
}

func scan(into func(...any) error) (Request, error) {
	var r Request
	var expires int64
	if err := into(&r.ID, &r.From, &r.To, &r.Cents, &r.State, &expires, &r.Reminders); err != nil {
		return Request{}, fmt.Errorf("read a payment request: %w", err)
	}
	r.ExpiresAt = time.UnixMilli(expires).UTC()
	return r, nil
}

// inTx does work in a transaction.
func (d Database) inTx(ctx context.Context, work func(tx *sql.Tx) error) error {
	tx, err := d.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // after the commit it does nothing
	if err := work(tx); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}
