package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/uuid"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/metrics"
	persistencesql "go.temporal.io/server/common/persistence/sql"
	"go.temporal.io/server/common/persistence/sql/sqlplugin"
	"go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite"
	"go.temporal.io/server/common/resolver"
)

const (
	// sqliteShards: one connection writes, so several would only wait for each other.
	// It is for new folders: where there is data, the number stays what it was.
	sqliteShards = 1

	sqliteMainSchema       = "sqlite/v3/temporal/schema.sql"
	sqliteVisibilitySchema = "sqlite/v3/visibility/schema.sql"
)

// sqliteStatistics tell SQLite's planner how many rows share a value, as ANALYZE
// would for a large installation. Without them all indexes look alike to it, and
// to list one tenant's running executions it walks through everybody's.
var sqliteStatistics = []string{
	"ANALYZE sqlite_schema", // makes the table
	"DELETE FROM sqlite_stat1 WHERE tbl = 'executions_visibility'",
	// Rows in all, in a namespace, and with one value of the index's column.
	`INSERT INTO sqlite_stat1 (tbl, idx, stat) SELECT tbl_name, name, '1000000 1000000 ' || CASE name
		WHEN 'by_status' THEN '250000'
		WHEN 'by_workflow_type' THEN '200000'
		WHEN 'default_idx' THEN '1000'
		WHEN 'by_execution_time' THEN '10'
		WHEN 'by_workflow_id' THEN '2'
		WHEN 'sqlite_autoindex_executions_visibility_1' THEN '1'
		ELSE '20000' END
	FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'executions_visibility'`,
	"ANALYZE sqlite_schema", // reads the table
}

func openMemory() (*store, error) {
	database := func(name string) *config.SQL {
		return sqliteConfig(name+"-"+uuid.NewString(), map[string]string{
			"mode": "memory", "cache": "shared", "case_sensitive_like": "on",
		})
	}
	s := newSQLiteStore(database("main"), database("visibility"))
	s.close = func() error { return nil }
	// Connecting makes the schema, and the data lives as long as a connection.
	for _, c := range []*config.SQL{s.main, s.visibility} {
		_, err := persistencesql.NewSQLAdminDB(sqlplugin.DbKindUnknown, c, resolver.NewNoopResolver(),
			log.NewNoopLogger(), metrics.NoopMetricsHandler)
		if err != nil {
			return nil, fmt.Errorf("database in memory: %w", err)
		}
	}
	return s, nil
}

func openFolder(ctx context.Context, c Config) (_ *store, err error) {
	lock, err := lockFolder(c.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			lock.release()
		}
	}()
	pragmas := map[string]string{
		"mode":         "rwc",
		"journal_mode": "wal",
		"synchronous":  string(c.Synchronous),
		// Writes are spread all over the files, since ids are random. With more pages
		// in the cache, and fewer checkpoints, fewer pages are read and written. The
		// units are KiB and pages.
		"cache_size":         "-32768",
		"wal_autocheckpoint": "8000",
		// Another process may read the files.
		"busy_timeout": "10000",
		// STARTS_WITH is a LIKE. It is case-sensitive, as on PostgreSQL, and can then use
		// an index.
		"case_sensitive_like": "on",
	}
	database := func(name string) *config.SQL {
		// The path becomes part of a URI as it stands.
		path := strings.NewReplacer("%", "%25", "?", "%3f", "#", "%23").Replace(filepath.Join(c.DataDir, name))
		return sqliteConfig(path, pragmas)
	}
	s := newSQLiteStore(database("temporal.db"), database("visibility.db"))
	s.close = func() error {
		defer lock.release()
		return checkpoint(context.WithoutCancel(ctx), s.main, s.visibility)
	}
	if err := setUpSQLite(ctx, s.main, sqliteMainSchema); err != nil {
		return nil, fmt.Errorf("data folder %s: temporal.db: %w", c.DataDir, err)
	}
	if err := setUpSQLite(ctx, s.visibility, sqliteVisibilitySchema); err != nil {
		return nil, fmt.Errorf("data folder %s: visibility.db: %w", c.DataDir, err)
	}
	return s, ownFiles(c.DataDir)
}

// ownFiles keeps the databases, and what SQLite writes beside them with the same mode, to
// the user that runs us, whatever folder they are in.
func ownFiles(dir string) error {
	files, err := filepath.Glob(filepath.Join(dir, "*.db*"))
	for _, file := range files {
		if changed := os.Chmod(file, 0o600); changed != nil && !errors.Is(changed, fs.ErrNotExist) {
			err = errors.Join(err, fmt.Errorf("data folder %s: %w", dir, cause(changed)))
		}
	}
	return err
}

func newSQLiteStore(main, visibility *config.SQL) *store {
	return &store{
		main:             main,
		visibility:       visibility,
		shards:           sqliteShards,
		shardIO:          1,
		timers:           8,
		visibilitySchema: sqliteVisibilitySchema,
		tuneVisibility:   sqliteStatistics,
		openVisibility:   func() (*sql.DB, error) { return connectSQLite(visibility) },
	}
}

func sqliteConfig(name string, attributes map[string]string) *config.SQL {
	return &config.SQL{PluginName: sqlite.PluginName, DatabaseName: name, ConnectAttributes: attributes}
}

// connectSQLite opens a connection of our own, with the server's settings.
func connectSQLite(c *config.SQL) (*sql.DB, error) {
	v := url.Values{}
	for name, value := range c.ConnectAttributes {
		if name == "mode" || name == "cache" {
			v.Set(name, value)
			continue
		}
		v.Add("_pragma", name+"="+value)
	}
	db, err := sql.Open("sqlite", "file:"+c.DatabaseName+"?"+v.Encode())
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	return db, nil
}

// setUpSQLite gives a new file its schema, and refuses one with another schema:
// Temporal knows no upgrade of SQLite files, and would fail on some query later.
func setUpSQLite(ctx context.Context, c *config.SQL, schemaFile string) error {
	stmts, err := statements(schemaFile)
	if err != nil {
		return err
	}
	db, err := connectSQLite(c)
	if err != nil {
		return err
	}
	defer db.Close()

	var found int32
	if err := db.QueryRowContext(ctx, "PRAGMA user_version").Scan(&found); err != nil {
		return err
	}
	switch want := fingerprint(stmts); found {
	case want:
		return nil
	case 0:
		return inTx(ctx, db, append(stmts, fmt.Sprintf("PRAGMA user_version = %d", want)))
	default:
		return errors.New("written by another version of the engine, with another schema")
	}
}

// fingerprint tells schemas apart. Indexes don't count, they come and go.
func fingerprint(statements []string) int32 {
	h := crc32.NewIEEE()
	for _, s := range statements {
		if !indexStatement.MatchString(s) {
			fmt.Fprintln(h, strings.Fields(s))
		}
	}
	// 0 is a file without schema.
	return int32(h.Sum32() | 1) //nolint:gosec // the sign is one of 32 bits
}

// checkpoint moves what stands in the write-ahead logs into the databases. The
// server's SQLite driver never closes its connections, which would do it.
func checkpoint(ctx context.Context, databases ...*config.SQL) error {
	for _, c := range databases {
		db, err := connectSQLite(c)
		if err != nil {
			return err
		}
		_, err = db.ExecContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
		db.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", c.DatabaseName, err)
		}
	}
	return nil
}
