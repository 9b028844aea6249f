package rig

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMeter_CountsTheWorkOfAllProcessesUntilTheyAreQuiet(t *testing.T) {
	t.Parallel()
	processes := make([]*Process, 2)
	for i := range processes {
		var err error
		processes[i], err = start(t.Context(), "it", os.Environ(), "sh", "-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exec sleep 60")
		require.NoError(t, err)
		t.Cleanup(processes[i].Stop)
	}
	m := &Meter{processes: processes} // counts from their very start
	require.Eventually(t, func() bool {
		spent, err := CPUTime(processes)
		return err == nil && spent >= tick
	}, time.Minute, 10*time.Millisecond)
	require.NoError(t, m.Pause(t.Context()))
	require.GreaterOrEqual(t, m.CPU(), tick)
	total, err := CPUTime(processes)
	require.NoError(t, err)
	require.LessOrEqual(t, m.CPU(), total)
	peak, err := m.PeakMemory()
	require.NoError(t, err)
	require.Positive(t, peak)
	require.ErrorContains(t, m.IdleUntil(t.Context(), time.Now()), "still busy")
}
