package receiver

import (
	"context"
	"database/sql"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"
)

// openSQLite opens a database in a file, as services have it: with a write-ahead
// log. No test outlives the machine, so nothing waits for the disk.
func openSQLite(t *testing.T, options string) database {
	t.Helper()
	return newDatabase(t, sqliteFile(t, filepath.Join(t.TempDir(), "receiver.db"), options), SQLite)
}

func sqliteFile(t *testing.T, path, options string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", sqliteSource(path, options))
	require.NoError(t, err)
	return db
}

func sqliteSource(path, options string) string {
	return "file:" + path + "?_pragma=synchronous(off)" + options
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]string{
		"with a write-ahead log":              "&_pragma=journal_mode(wal)",
		"with a write-ahead log, and waiting": "&_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)",
		"beginning immediately":               "&_pragma=journal_mode(wal)&_txlock=immediate",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDatabase(t, func(t *testing.T) database {
				t.Helper()
				return openSQLite(t, options)
			})
		})
	}
}

func TestSQLite_PassesReceivertest(t *testing.T) {
	t.Parallel()
	passReceivertest(t, func(t *testing.T) database {
		t.Helper()
		return openSQLite(t, "&_pragma=journal_mode(delete)")
	})
}

// There is one writer at a time: what another one holds up is not handled, and
// not done either.
func TestSQLite_AsksToComeAgainWhileAnotherWrites(t *testing.T) {
	t.Parallel()
	d := openSQLite(t, "&_pragma=journal_mode(wal)")
	do := func(ctx context.Context, tx *sql.Tx, m Message) error { return d.work(ctx, tx, m.ID) }
	r := d.receiver(t, Config{Wait: 20 * time.Millisecond}, do)
	writer, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.NoError(t, d.work(t.Context(), writer, "another's"))

	result := r.Handle(t.Context(), Message{ID: "evt_1"})
	require.Equal(t, Failed, result.Outcome)
	require.ErrorIs(t, result.Err, ErrBusy)
	require.Equal(t, busyRetryAfter, result.RetryAfter)

	require.NoError(t, writer.Rollback())
	require.Equal(t, Result{Outcome: Accepted}, d.receiver(t, Config{}, do).Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

// Without a write-ahead log a reader holds up the commit, after the work. The
// transaction must not stay behind on its connection.
func TestSQLite_RollsBackWhereTheCommitIsBusy(t *testing.T) {
	t.Parallel()
	d := openSQLite(t, "&_pragma=journal_mode(delete)")
	d.SetMaxOpenConns(2)
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		return d.work(ctx, tx, m.ID)
	})
	reader, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	var tables int
	require.NoError(t, reader.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM sqlite_master`).Scan(&tables))

	result := r.Handle(t.Context(), Message{ID: "evt_1"})
	require.Equal(t, Failed, result.Outcome)
	require.Equal(t, busyRetryAfter, result.RetryAfter, result.Err)

	require.NoError(t, reader.Rollback())
	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}
