package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWithSecrets_KeepsWhatItMade(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	empty, err := loadConfig(nil)
	require.NoError(t, err)
	first, err := empty.withSecrets(dir)
	require.NoError(t, err)
	again, err := empty.withSecrets(dir)
	require.NoError(t, err)
	require.Equal(t, first, again)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, left, 3, "nothing half-written stays")
}

func TestWithSecrets_MakesNoKeyForDataOfAnother(t *testing.T) {
	t.Parallel()
	empty, err := loadConfig(nil)
	require.NoError(t, err)

	lost := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(lost, "temporal.db"), nil, 0o600))
	_, err = empty.withSecrets(lost)
	require.ErrorContains(t, err, "encryption.keys is missing")

	cut := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(cut, encryptionKeysFile), nil, 0o600))
	_, err = empty.withSecrets(cut)
	require.ErrorContains(t, err, "is empty")
}
