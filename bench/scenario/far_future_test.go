package scenario

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestSampled_TakesATenthFromAllOver(t *testing.T) {
	t.Parallel()
	messages := rig.NewMessages(1000, "test", "", time.Time{})
	first, second := sampled(messages, 0), sampled(messages, 0.5)
	require.Len(t, first, 100)
	require.Equal(t, "test-0", first[0].ID)
	require.Equal(t, "test-990", first[99].ID)
	require.Equal(t, "test-995", second[99].ID)
	for _, m := range second {
		require.False(t, slices.Contains(first, m), "%s is in both", m)
	}
	require.Len(t, sampled(messages[:3], 0.5), 1)
	require.Len(t, sampled(make([]*rig.Message, 1_000_000), 0.5), maxSampled)
}

func TestFolderSize_IsThatOfAllFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "one"), make([]byte, 1000), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "a", "b", "two"), make([]byte, 24), 0o644))
	size, err := folderSize(dir)
	require.NoError(t, err)
	require.Equal(t, int64(1024), size)
}
