package receiver

import (
	"cmp"
	"context"
	"database/sql"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/receiver/receivertest"
	"github.com/postdate/postdate/signature"
)

// database is one that stores are tested on. Each test opens its own.
type database struct {
	*sql.DB

	dialect Dialect
}

// newDatabase prepares db for the suite: with the table of marks, and one that
// counts how often the work on a message has taken effect.
func newDatabase(t *testing.T, db *sql.DB, dialect Dialect) database {
	t.Helper()
	t.Cleanup(func() { assert.NoError(t, db.Close()) })
	d := database{db, dialect}
	require.NoError(t, d.store("billing").CreateTable(t.Context()))
	id := "VARCHAR(255)"
	if dialect == MySQL {
		id = "VARBINARY(255)" // by its default collation "a" is "A"
	}
	_, err := db.ExecContext(t.Context(), `CREATE TABLE effects (message_id `+id+` NOT NULL, step INTEGER NOT NULL)`)
	require.NoError(t, err)
	// database/sql rolls back on another goroutine where a context ends.
	t.Cleanup(func() {
		assert.Eventually(t, func() bool { return db.Stats().InUse == 0 }, 10*time.Second, time.Millisecond, "a connection was not given back")
	})
	return d
}

func (d database) store(consumer string) *SQLStore { return SQL(d.DB, d.dialect, consumer) }

// receiver is one in a process of its own: it shares nothing with others but the
// database.
func (d database) receiver(t *testing.T, config Config, do Func[*sql.Tx]) *Receiver {
	t.Helper()
	config.Logger, config.Wait = slog.New(slog.DiscardHandler), cmp.Or(config.Wait, time.Minute)
	r, err := New(config, d.store("billing"), do)
	require.NoError(t, err)
	return r
}

// work is a function's work: it takes effect if the transaction is committed.
func (d database) work(ctx context.Context, tx *sql.Tx, id string) error {
	statement := `INSERT INTO effects (message_id, step) VALUES (?, 1)`
	if d.dialect == PostgreSQL {
		statement = strings.Replace(statement, "?", "$1", 1)
	}
	_, err := tx.ExecContext(ctx, statement, id)
	return err
}

// effects counts how often the work on all messages has taken effect.
func (d database) effects(t *testing.T) int {
	t.Helper()
	return d.count(t, "effects")
}

func (d database) marks(t *testing.T) int {
	t.Helper()
	return d.count(t, "receiver_marks")
}

func (d database) count(t *testing.T, table string) int {
	t.Helper()
	statement := "SELECT COUNT(*) FROM " + table
	if d.dialect == MySQL {
		statement += " LOCK IN SHARE MODE" // it would count what is not committed, where the isolation level is low
	}
	var n int
	require.NoError(t, d.QueryRowContext(t.Context(), statement).Scan(&n))
	return n
}

// passReceivertest has the receiver tested as its users' are.
func passReceivertest(t *testing.T, open func(t *testing.T) database) {
	t.Helper()
	receivertest.Run(t, func(t *testing.T, step receivertest.Step) receivertest.Receiver {
		t.Helper()
		d := open(t)
		config := Config{Secrets: []signature.Verifier{secret}}
		return receivertest.Receiver{
			Handler: d.receiver(t, config, func(ctx context.Context, tx *sql.Tx, m Message) error {
				if err := d.work(ctx, tx, m.ID); err != nil {
					return err
				}
				return step(ctx, m.ID)
			}),
			Signer:  secret,
			Effects: func(id string) int { return d.count(t, "effects WHERE message_id = '"+id+"'") },
		}
	})
}
