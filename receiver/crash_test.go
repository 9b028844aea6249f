package receiver

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// crashEnv has this test's program be a receiver that is killed in the middle of
// its work: driver, dialect and data source name.
const crashEnv = "POSTDATE_TEST_RECEIVER_CRASH"

func TestMain(m *testing.M) {
	if with := os.Getenv(crashEnv); with != "" {
		if err := workForever(with); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// workForever handles a message, and says so when only the commit is missing.
func workForever(with string) error {
	fields := strings.SplitN(with, " ", 3)
	db, err := sql.Open(fields[0], fields[2])
	if err != nil {
		return err
	}
	d := database{DB: db}
	for d.dialect = PostgreSQL; d.dialect.String() != fields[1]; d.dialect++ {
	}
	r, err := New(Config{Wait: time.Minute}, d.store("billing"), func(ctx context.Context, tx *sql.Tx, m Message) error {
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		fmt.Println("working")
		select {}
	})
	if err != nil {
		return err
	}
	return r.Handle(context.Background(), Message{ID: "evt_1"}).Err
}

// killed kills a process in the middle of its work and requires that nothing of
// it is left, no lock either.
func killed(t *testing.T, d database, driver, source string) {
	t.Helper()
	process := exec.Command(os.Args[0])
	process.Env = append(os.Environ(), fmt.Sprintf("%s=%s %s %s", crashEnv, driver, d.dialect, source))
	output, err := process.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, process.Start())
	line, err := bufio.NewReader(output).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "working\n", line)
	require.NoError(t, process.Process.Kill())
	require.Error(t, process.Wait())

	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error { return d.work(ctx, tx, m.ID) })
	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

func TestSQLite_HandlesWhatAKilledProcessLeft(t *testing.T) {
	t.Parallel()
	const options = "&_pragma=journal_mode(wal)"
	path := filepath.Join(t.TempDir(), "receiver.db")
	killed(t, newDatabase(t, sqliteFile(t, path, options), SQLite), "sqlite", sqliteSource(path, options))
}
