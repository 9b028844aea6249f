package report

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestCrashesOf_MeasuresWhatWasUnderWayFromItsFirstCrash(t *testing.T) {
	t.Parallel()
	start := time.Now()
	at := func(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }
	messages := []*rig.Message{
		{Accepted: at(1), Received: at(2)},                // before the crash
		{Accepted: at(9), Received: at(22)},               // under way at both
		{Accepted: at(9), Due: at(9.5), Received: at(13)}, // under way
		{Accepted: at(9), Due: at(11), Received: at(12)},  // not yet due
		{Accepted: at(11), Received: at(12)},              // accepted after it
	}
	load := CrashedLoadOf("bare url", messages, []time.Time{at(10), at(20)}, 1)
	require.Equal(t, 2, load.UnderWay)
	require.Equal(t, &Quantiles{P50: 3000, P99: 12_000, Max: 12_000}, load.LatenessMS)

	quiet := CrashedLoadOf("paced", messages[:1], []time.Time{at(10)}, 0)
	require.Nil(t, quiet.LatenessMS)
	crashes := CrashesOf([]time.Duration{time.Second, 2 * time.Second}, []CrashedLoad{load, quiet})
	require.Equal(t, 2, crashes.Kills)
	require.Equal(t, load.LatenessMS, crashes.LatenessMS)
	require.InDelta(t, 1.0/6, crashes.RepeatedPart, 1e-9)

	var table bytes.Buffer
	WriteTable(&table, []Result{{Scenario: "crash", System: "sqlite", Crashes: crashes}}, nil)
	require.Contains(t, table.String(), "killed 2 times; ready again after 1000 ms p50, 2000 ms max")
	require.Contains(t, table.String(), "bare url: 5 messages, 1 sent again; 2 under way at a crash, taken after 3000 ms p50, 12000 ms p99, 12000 ms max\n")
	require.Contains(t, table.String(), "paced: 1 messages, 0 sent again; 0 under way at a crash\n")
}
