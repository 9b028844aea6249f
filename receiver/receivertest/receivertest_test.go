package receivertest

import (
	"context"
	"database/sql"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/signature"
)

// openDatabase opens one that has a table of effects.
func openDatabase(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "receiver.db")+
		"?_pragma=synchronous(off)&_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)")
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	_, err = db.ExecContext(t.Context(), `CREATE TABLE effects (message_id TEXT NOT NULL)`)
	require.NoError(t, err)
	return db
}

func effects(t *testing.T, db *sql.DB) func(id string) int {
	t.Helper()
	return func(id string) int {
		var n int
		require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM effects WHERE message_id = ?`, id).Scan(&n))
		return n
	}
}

// kit is a receiver as the documentation has it.
func kit(signer signature.Signer, verifier signature.Verifier) func(t *testing.T, step Step) Receiver {
	return func(t *testing.T, step Step) Receiver {
		t.Helper()
		db := openDatabase(t)
		marks := receiver.SQL(db, receiver.SQLite, "test")
		require.NoError(t, marks.CreateTable(t.Context()))
		config := receiver.Config{Secrets: []signature.Verifier{verifier}, Logger: slog.New(slog.DiscardHandler)}
		handler, err := receiver.New(config, marks, func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
			if _, err := tx.ExecContext(ctx, `INSERT INTO effects (message_id) VALUES (?)`, m.ID); err != nil {
				return err
			}
			return step(ctx, m.ID)
		})
		require.NoError(t, err)
		return Receiver{Handler: handler, Signer: signer, Effects: effects(t, db)}
	}
}

func TestRun_PassesTheKit(t *testing.T) {
	t.Parallel()
	secret, key := signature.NewSecret(), signature.NewSigningKey()
	for name, open := range map[string]func(*testing.T, Step) Receiver{
		"with a secret":     kit(secret, secret),
		"with a public key": kit(key, key.Public()),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			Run(t, open)
		})
	}
}
