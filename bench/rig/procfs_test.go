package rig

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUTime_IsReadPastAnyCommandName(t *testing.T) {
	t.Parallel()
	const stat = "4242 (a) b (c)) S 1 4242 4242 0 -1 4194560 1 0 0 0 150 27 9 9 20 0 8 0 100 1 1"
	got, err := parseCPUTime(stat)
	require.NoError(t, err)
	require.Equal(t, 1770*time.Millisecond, got, "user and system, not the children's")

	_, err = parseCPUTime("4242 (cut) S 1")
	require.Error(t, err)
}

func TestMemory_IsInBytes(t *testing.T) {
	t.Parallel()
	const status = "Name:\tpostdate\nVmHWM:\t  204800 kB\nVmRSS:\t  102400 kB\n"
	peak, err := parseMemory(status, rssPeak)
	require.NoError(t, err)
	require.Equal(t, int64(200<<20), peak)

	_, err = parseMemory("Name:\tpostdate\n", rssNow)
	require.Error(t, err)
}
