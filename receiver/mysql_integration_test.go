//go:build integration

package receiver

import (
	"context"
	"crypto/rand"
	"database/sql"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"
	"github.com/stretchr/testify/require"
)

func openMySQL(t *testing.T, settings map[string]string) database {
	t.Helper()
	db, err := sql.Open("mysql", mySQLSource(t, settings))
	require.NoError(t, err)
	db.SetMaxOpenConns(20)
	return newDatabase(t, db, MySQL)
}

// mySQLSource makes a database of its own for each test, and names it in a data
// source name with these settings.
func mySQLSource(t *testing.T, settings map[string]string) string {
	t.Helper()
	server := os.Getenv("POSTDATE_TEST_MYSQL")
	if server == "" {
		t.Skip("there is no MySQL: run it by scripts/with-mysql")
	}
	name := "receiver_" + strings.ToLower(rand.Text())
	admin, err := sql.Open("mysql", server)
	require.NoError(t, err)
	defer admin.Close()
	_, err = admin.ExecContext(t.Context(), `CREATE DATABASE `+name)
	require.NoError(t, err)

	config, err := mysql.ParseDSN(server)
	require.NoError(t, err)
	config.DBName, config.Params = name, map[string]string{}
	for setting, value := range settings {
		if setting == "clientFoundRows" {
			config.ClientFoundRows = value == "true"
			continue
		}
		config.Params[setting] = value
	}
	return config.FormatDSN()
}

func TestMySQL_PassesReceivertest(t *testing.T) {
	t.Parallel()
	passReceivertest(t, func(t *testing.T) database {
		t.Helper()
		return openMySQL(t, nil)
	})
}

func TestMySQL_HandlesWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	source := mySQLSource(t, nil)
	db, err := sql.Open("mysql", source)
	require.NoError(t, err)
	killed(t, newDatabase(t, db, MySQL), "mysql", source)
}

func TestMySQL(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]map[string]string{
		"by its defaults":                       nil,
		"read committed":                        {"tx_isolation": "'READ-COMMITTED'"},
		"serializable":                          {"tx_isolation": "'SERIALIZABLE'"},
		"read uncommitted":                      {"tx_isolation": "'READ-UNCOMMITTED'"},
		"without strictness":                    {"sql_mode": "''"},
		"counting found rows, not changed ones": {"clientFoundRows": "true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testDatabase(t, func(t *testing.T) database {
				t.Helper()
				return openMySQL(t, settings)
			})
		})
	}
}

// For a deadlock MySQL rolls back the transaction and executes what follows
// outside of it: a function that overlooks the error has not done its work.
func TestMySQL_DoesNotTakeATransactionThatIsGone(t *testing.T) {
	t.Parallel()
	d := openMySQL(t, nil)
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `ROLLBACK`)
		return err
	})
	result := r.Handle(t.Context(), Message{ID: "evt_1"})
	require.Equal(t, Failed, result.Outcome)
	require.ErrorContains(t, result.Err, "rolled the transaction back")
	require.Zero(t, d.effects(t))
	require.Zero(t, d.marks(t))
}
