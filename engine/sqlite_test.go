package engine

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

func TestFolder_MayHaveAnyName(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a?b#c%20d e")
	start(t, Config{DataDir: dir}).Stop()
	require.FileExists(t, filepath.Join(dir, "temporal.db"))
	require.FileExists(t, filepath.Join(dir, "visibility.db"))
}

func TestFolder_IsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	start(t, Config{DataDir: dir}).Stop()
	info, err := os.Stat(dir)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
}

func TestFolder_WithAnotherSchemaIsRefused(t *testing.T) {
	t.Parallel()
	e := start(t, Config{DataDir: t.TempDir()})
	dir := e.dir(t)
	e.Stop()
	db, err := connectSQLite(e.store.main)
	require.NoError(t, err)
	defer db.Close()
	_, err = db.ExecContext(t.Context(), "PRAGMA user_version = 7")
	require.NoError(t, err)

	_, err = Start(t.Context(), Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, "temporal.db: written by another version of the engine, with another schema")
}

func TestStop_LeavesNothingInTheWriteAheadLogs(t *testing.T) {
	t.Parallel()
	e := start(t, Config{DataDir: t.TempDir(), Synchronous: Normal})
	_, err := dial(t, e).ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{TaskQueue: queue}, greet, "you")
	require.NoError(t, err)
	e.Stop()
	for _, name := range []string{"temporal.db-wal", "visibility.db-wal"} {
		info, err := os.Stat(filepath.Join(e.dir(t), name))
		require.NoError(t, err)
		require.Zero(t, info.Size(), name)
	}
}

func (e *Engine) dir(t *testing.T) string {
	t.Helper()
	return filepath.Dir(e.store.main.DatabaseName)
}

func file(t *testing.T, content string) string {
	t.Helper()
	return filepath.Join(folderWith(t, "file", content), "file")
}

func folderWith(t *testing.T, name, content string) string {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	return dir
}

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	require.NoError(t, err)
	return n
}

func TestSQLite_KeepsItsFilesToTheUser(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	start(t, Config{DataDir: dir})
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		info, err := os.Stat(file)
		require.NoError(t, err)
		require.Equal(t, fs.FileMode(0o600), info.Mode().Perm(), file)
	}
}
