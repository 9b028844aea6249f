package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// requireSealed looks for a text in all that a process has written to disk.
func requireSealed(t *testing.T, folder, text string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		require.False(t, bytes.Contains(kept, []byte(text)), "%q is in %s", text, filepath.Base(path))
		return nil
	}))
}
