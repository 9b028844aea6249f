//go:build integration

package receiver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"maps"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func openPostgreSQL(t *testing.T, settings url.Values) database {
	t.Helper()
	source := postgreSQLSource(t, settings)
	db, err := sql.Open("pgx", source)
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	return newDatabase(t, db, PostgreSQL)
}

// postgreSQLSource makes a schema of its own for each test, and names it in a data
// source name with these settings.
func postgreSQLSource(t *testing.T, settings url.Values) string {
	t.Helper()
	server := os.Getenv("POSTDATE_TEST_POSTGRES")
	require.NotEmpty(t, server, "run it by scripts/with-postgres")
	schema := "receiver_" + strings.ToLower(rand.Text())
	admin, err := sql.Open("pgx", server)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.ExecContext(t.Context(), `CREATE SCHEMA `+schema)
	require.NoError(t, err)

	source, err := url.Parse(server)
	require.NoError(t, err)
	query := source.Query()
	query.Set("search_path", schema)
	maps.Copy(query, settings)
	source.RawQuery = query.Encode()
	return source.String()
}

func TestPostgreSQL_PassesReceivertest(t *testing.T) {
	t.Parallel()
	passReceivertest(t, func(t *testing.T) database {
		t.Helper()
		return openPostgreSQL(t, nil)
	})
}

func TestPostgreSQL_HandlesWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	source := postgreSQLSource(t, nil)
	db, err := sql.Open("pgx", source)
	require.NoError(t, err)
	killed(t, newDatabase(t, db, PostgreSQL), "pgx", source)
}

func TestPostgreSQL(t *testing.T) {
	t.Parallel()
	for _, isolation := range []string{"read committed", "repeatable read", "serializable"} {
		t.Run(isolation, func(t *testing.T) {
			t.Parallel()
			testDatabase(t, func(t *testing.T) database {
				t.Helper()
				return openPostgreSQL(t, url.Values{"default_transaction_isolation": {isolation}})
			})
		})
	}
}

// After a statement that failed PostgreSQL answers a commit with a rollback.
func TestPostgreSQL_DoesNotTakeATransactionWithAFailedStatement(t *testing.T) {
	t.Parallel()
	d := openPostgreSQL(t, nil)
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		_, _ = tx.ExecContext(ctx, `SELECT id FROM no_such_table`)
		return nil
	})
	require.Equal(t, Failed, r.Handle(t.Context(), Message{ID: "evt_1"}).Outcome)
	require.Zero(t, d.effects(t))
	require.Zero(t, d.marks(t))
}

// Two functions that lock each other's rows: PostgreSQL ends one of them, and its
// message is to be sent again soon.
func TestPostgreSQL_AsksTheVictimOfADeadlockToComeAgain(t *testing.T) {
	t.Parallel()
	d := openPostgreSQL(t, url.Values{"deadlock_timeout": {"10ms"}})
	require.NoError(t, withTx(t, d, func(tx *sql.Tx) error { return d.work(t.Context(), tx, "a") }))
	require.NoError(t, withTx(t, d, func(tx *sql.Tx) error { return d.work(t.Context(), tx, "b") }))
	var both sync.WaitGroup
	both.Add(2)
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		rows := []string{"a", "b"}
		if m.ID == "evt_2" {
			rows = []string{"b", "a"}
		}
		for _, row := range rows {
			if _, err := tx.ExecContext(ctx, `UPDATE effects SET step = step + 1 WHERE message_id = $1`, row); err != nil {
				return err
			}
			if row == rows[0] {
				both.Done()
				both.Wait()
			}
		}
		return nil
	})
	results := make(chan Result, 2)
	for _, id := range []string{"evt_1", "evt_2"} {
		go func() { results <- r.Handle(t.Context(), Message{ID: id}) }()
	}
	outcomes := map[Outcome]int{}
	for range 2 {
		result := <-results
		outcomes[result.Outcome]++
		if result.Outcome == Failed {
			assert.Equal(t, busyRetryAfter, result.RetryAfter, result.Err)
		}
	}
	require.Equal(t, map[Outcome]int{Accepted: 1, Failed: 1}, outcomes)
}

func withTx(t *testing.T, d database, do func(*sql.Tx) error) error {
	t.Helper()
	tx, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
