//go:build integration

//nolint:paralleltest,tparallel // see below
package engine

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// These tests need POSTDATE_TEST_POSTGRES, a postgres:// URL of a user who may
// create databases and roles. They run one after the other: an engine at work
// holds about 45 connections, and PostgreSQL has 100 unless told otherwise.

func TestPostgres_GoesOnWithWhatWasDelayed(t *testing.T) {
	goesOnWithWhatWasDelayed(t, Config{Postgres: newDatabase(t)})
}

func TestPostgres_FindsByEveryAttribute(t *testing.T) {
	findsByEveryAttribute(t, Config{Postgres: newDatabase(t), SearchAttributes: attributes})
}

func TestPostgres_KeepsTheIndexesThatAreUsed(t *testing.T) {
	config := Config{Postgres: newDatabase(t)}
	start(t, config).Stop()
	config.SearchAttributes = attributes
	e := start(t, config)
	require.ElementsMatch(t, append([]string{
		"executions_visibility_pkey",
		"postdate_by_temporal_namespace_division", "postdate_by_keyword_01", "postdate_by_keyword_02",
		"postdate_by_keyword_01_start", "postdate_by_keyword_02_start",
		"by_keyword_list_01", "by_keyword_list_02", "by_keyword_list_03",
	}, kept...), postgresIndexes(t, e))
}

func TestPostgres_HasTheRetentionOfTheLatestStart(t *testing.T) {
	config := Config{Postgres: newDatabase(t)}
	start(t, config).Stop()
	config.Retention = 36 * time.Hour
	require.Equal(t, config.Retention, retention(t, start(t, config)))
}

func TestPostgres_TellsInOneLineWhatIsInTheWay(t *testing.T) {
	database := newDatabase(t)
	start(t, Config{Postgres: database})
	for name, test := range map[string]struct{ url, want string }{
		"another engine has it": {database, "is in use by another engine"},
		"wrong password": {
			with(t, newDatabase(t), func(u *url.URL) { u.User = url.UserPassword(u.User.Username(), "wrong") }),
			"password authentication failed for user",
		},
		"not allowed to create": {
			with(t, newDatabase(t), func(u *url.URL) { u.User = newRole(t) }),
			"permission denied to create database",
		},
		"no TLS there": {
			with(t, database, func(u *url.URL) { u.RawQuery = "sslmode=require" }),
			"server refused TLS connection",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log logBuffer
			_, err := Start(t.Context(), Config{Postgres: test.url, Logger: slog.New(slog.NewTextHandler(&log, nil))})
			require.ErrorContains(t, err, test.want)
			require.NotContains(t, err.Error(), "\n")
			require.Empty(t, log.String())
		})
	}
}

func TestPostgres_TakesNamesAndPasswordsAsTheyAre(t *testing.T) {
	admin := serverURL(t)
	role := newRole(t)
	execute(t, fmt.Sprintf("ALTER ROLE %s CREATEDB", role.Username()))
	u := *admin
	u.User, u.Path = role, `/test "a b" `+uuid.NewString()
	dropAfter(t, strings.TrimPrefix(u.Path, "/"))
	start(t, Config{Postgres: u.String()})
}

func serverURL(t *testing.T) *url.URL {
	t.Helper()
	raw := os.Getenv("POSTDATE_TEST_POSTGRES")
	require.NotEmpty(t, raw, "POSTDATE_TEST_POSTGRES is to be a postgres:// URL of a user who may create databases")
	u, err := url.Parse(raw)
	require.NoError(t, err)
	return u
}

// newDatabase is the URL of a database that does not exist yet.
func newDatabase(t *testing.T) string {
	t.Helper()
	u := serverURL(t)
	name := "test_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	u.Path = "/" + name
	dropAfter(t, name)
	return u.String()
}

func dropAfter(t *testing.T, name string) {
	t.Helper()
	t.Cleanup(func() {
		for _, n := range []string{name, name + visibilitySuffix} {
			execute(t, "DROP DATABASE IF EXISTS "+pgx.Identifier{n}.Sanitize())
		}
	})
}

// newRole may connect and nothing else; its password needs escaping.
func newRole(t *testing.T) *url.Userinfo {
	t.Helper()
	name := "role_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	execute(t, fmt.Sprintf("CREATE ROLE %s LOGIN PASSWORD 'a b+/?#%%@:'", name))
	t.Cleanup(func() { execute(t, "DROP ROLE "+name) })
	return url.UserPassword(name, "a b+/?#%@:")
}

func execute(t *testing.T, statement string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also used in cleanups
	conn, err := pgx.Connect(ctx, serverURL(t).String())
	require.NoError(t, err)
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, statement)
	require.NoError(t, err)
}

func with(t *testing.T, raw string, change func(*url.URL)) string {
	t.Helper()
	u, err := url.Parse(raw)
	require.NoError(t, err)
	change(u)
	return u.String()
}

func postgresIndexes(t *testing.T, e *Engine) []string {
	t.Helper()
	db, err := e.store.openVisibility()
	require.NoError(t, err)
	defer db.Close()
	var names string
	require.NoError(t, db.QueryRowContext(t.Context(),
		"SELECT string_agg(indexname, ',') FROM pg_indexes WHERE tablename = 'executions_visibility'").Scan(&names))
	return strings.Split(names, ",")
}
