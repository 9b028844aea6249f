package system

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the driver "pgx"
)

// batchTable is where the batch job keeps its rows. A committed row has been written
// to the disk, as with Postdate.
type batchTable struct {
	db   *sql.DB
	mark string // the statement that notes which rows were sent
}

// openTable opens database or, where that is "", the SQLite file, and makes the
// table where there is none.
func openTable(ctx context.Context, file, database string) (*batchTable, error) {
	// The driver "sqlite" is registered by Temporal's plugin.
	driver, source, ids := "sqlite", sqliteSource(file), "SELECT value FROM json_each($2)"
	if database != "" {
		driver, source, ids = "pgx", database, "SELECT json_array_elements_text($2::json)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		return nil, fmt.Errorf("open the batch job's database: %w", err)
	}
	if database == "" {
		db.SetMaxOpenConns(1) // SQLite has one writer, and waiting for it here is cheapest
	} else {
		db.SetMaxOpenConns(30)
		db.SetMaxIdleConns(30)
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS messages (id TEXT PRIMARY KEY, url TEXT NOT NULL, due BIGINT NOT NULL, body TEXT NOT NULL, sent BIGINT)",
		"CREATE INDEX IF NOT EXISTS messages_due ON messages (due, id) WHERE sent IS NULL",
	} {
		if _, err := db.ExecContext(ctx, statement); err != nil {
			_ = db.Close()
			return nil, fmt.Errorf("make the batch job's table: %w", err)
		}
	}
	return &batchTable{db: db, mark: "UPDATE messages SET sent = $1 WHERE id IN (" + ids + ")"}, nil
}

func sqliteSource(file string) string {
	pragmas := url.Values{"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"}}
	return "file:" + file + "?" + pragmas.Encode()
}

func (t *batchTable) insert(ctx context.Context, r row) error {
	_, err := t.db.ExecContext(ctx, "INSERT INTO messages (id, url, due, body) VALUES ($1, $2, $3, $4)", r.ID, r.URL, r.Due, string(r.Body))
	if err != nil {
		return fmt.Errorf("insert %s: %w", r.ID, err)
	}
	return nil
}

// due returns the next rows after that one which were due at that time and have not
// been sent, in their order.
func (t *batchTable) due(ctx context.Context, at time.Time, after row, limit int) ([]row, error) {
	rows, err := t.db.QueryContext(ctx, `SELECT id, url, due, body FROM messages
		WHERE sent IS NULL AND due <= $1 AND (due, id) > ($2, $3) ORDER BY due, id LIMIT $4`,
		at.UnixMilli(), after.Due, after.ID, limit)
	if err != nil {
		return nil, fmt.Errorf("scan the table: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var due []row
	for rows.Next() {
		var r row
		var body string
		if err := rows.Scan(&r.ID, &r.URL, &r.Due, &body); err != nil {
			return nil, fmt.Errorf("scan the table: %w", err)
		}
		r.Body = json.RawMessage(body)
		due = append(due, r)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("scan the table: %w", err)
	}
	return due, nil
}

// sent marks rows, in one commit.
func (t *batchTable) sent(ctx context.Context, ids []string) error {
	if len(ids) == 0 {
		return nil
	}
	list, err := json.Marshal(ids)
	if err != nil {
		return fmt.Errorf("mark as sent: %w", err)
	}
	if _, err := t.db.ExecContext(ctx, t.mark, time.Now().UnixMilli(), string(list)); err != nil {
		return fmt.Errorf("mark as sent: %w", err)
	}
	return nil
}
