package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// round is one in which n messages were sent every 10 ms, accepted 1 ms and
// received 5 ms later.
func round(n int, cpu time.Duration) *measured {
	start := time.Unix(1_800_000_000, 0)
	m := &measured{since: start, cpu: cpu, peak: int64(n) << 20}
	for i := range n {
		sent := start.Add(time.Duration(i) * 10 * time.Millisecond)
		m.items = append(m.items, &item{
			sent: sent, accepted: sent.Add(time.Millisecond), received: sent.Add(5 * time.Millisecond), copies: 1,
		})
	}
	return m
}

func TestSummarise_AddsUpTheRoundsBeforeItDivides(t *testing.T) {
	t.Parallel()
	r := summarise("immediate", sqliteEngine, []*measured{round(10, 100*time.Millisecond), round(20, 50*time.Millisecond)})
	require.Equal(t, 30, r.Messages)
	require.InDelta(t, perSecond(30, 95*time.Millisecond+195*time.Millisecond), r.DeliveredPerS, 0)
	require.InDelta(t, perSecond(30, 91*time.Millisecond+191*time.Millisecond), r.AcceptedPerS, 0)
	require.Equal(t, []float64{perSecond(10, 95*time.Millisecond), perSecond(20, 195*time.Millisecond)}, r.DeliveredPerSRounds)
	require.InDelta(t, 5.0, r.CPUMSPerDelivery, 0)
	require.InDelta(t, 20.0, r.PeakRSSMB, 0)
	require.Equal(t, &quantiles{P50: 5, P99: 5, Max: 5}, r.ReceiptMS)
	require.Nil(t, r.LatenessMS, "none was due at a time")
}

func TestSummarise_CountsLatenessFromWhenItWasDueAndCopiesBeyondTheFirst(t *testing.T) {
	t.Parallel()
	m := round(2, 0)
	m.items[1].due = m.items[1].received.Add(-3 * time.Millisecond)
	m.items[1].copies = 3
	r := summarise("steady", sqliteEngine, []*measured{m})
	require.Equal(t, &quantiles{First: 3, P50: 3, P99: 3, Max: 3}, r.LatenessMS)
	require.Equal(t, &quantiles{P50: 5, P99: 5, Max: 5}, r.ReceiptMS, "only of what was due at once")
	require.Equal(t, 2, r.Duplicates)
}

func TestSummarise_OfWhatWasNeverToArriveTellsOnlyHowItWasAccepted(t *testing.T) {
	t.Parallel()
	m := round(10, 0)
	for _, i := range m.items {
		i.received, i.copies = time.Time{}, 0
	}
	m.pending = &pending{BytesOnDiskPerSchedule: 42}
	r := summarise("far_future", sqliteEngine, []*measured{m})
	require.Positive(t, r.AcceptedPerS)
	require.Zero(t, r.DeliveredPerS)
	require.Zero(t, r.Duplicates)

	var line bytes.Buffer
	require.NoError(t, writeJSON(&line, []result{r}))
	var fields map[string]any
	require.NoError(t, json.Unmarshal(line.Bytes(), &fields))
	require.InDelta(t, 42.0, fields["bytes_on_disk_per_schedule"], 0)
	require.InDelta(t, 0.0, fields["delivered_per_s"], 0)
	require.InDelta(t, 0.0, fields["cpu_ms_per_delivery"], 0)
	require.NotContains(t, fields, "lateness_ms")
}

func TestCompare_IsWithTheSameScenario(t *testing.T) {
	t.Parallel()
	all := []result{
		{Scenario: "immediate", Engine: sqliteEngine, DeliveredPerS: 300, CPUMSPerDelivery: 5},
		{Scenario: "immediate", Engine: naiveEngine, DeliveredPerS: 60, CPUMSPerDelivery: 20},
		{Scenario: "steady", Engine: sqliteEngine, DeliveredPerS: 50},
	}
	for i := range all {
		all[i].compare(all)
	}
	require.InDelta(t, 5.0, all[0].RatioToNaive, 0)
	require.InDelta(t, 0.25, all[0].CPURatioToNaive, 0)
	require.Zero(t, all[1].RatioToNaive)
	require.Zero(t, all[2].RatioToNaive)
}

func TestTable_SaysWhatFallsShort(t *testing.T) {
	t.Parallel()
	var table bytes.Buffer
	writeTable(&table, []result{
		{Scenario: "immediate", Engine: sqliteEngine, RatioToNaive: 3.9},
		{Scenario: "due_in_2s", Engine: sqliteEngine, LatenessMS: &quantiles{Max: 250}},
	})
	require.Contains(t, table.String(), "SHORT immediate: 3.9")
	require.Contains(t, table.String(), "ok    due_in_2s: 250.0")
	require.NotContains(t, table.String(), "due_at_once", "it was not measured")
}

func TestKeepResults_WritesALineForEachRow(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "results")
	require.NoError(t, keepResults(dir, []result{{Scenario: "immediate", Engine: sqliteEngine}, {Scenario: "steady"}}))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	text, err := os.ReadFile(filepath.Join(dir, files[0].Name()))
	require.NoError(t, err)
	lines := bytes.Split(bytes.TrimSpace(text), []byte("\n"))
	require.Len(t, lines, 2)
	var first result
	require.NoError(t, json.Unmarshal(lines[0], &first))
	require.Equal(t, "immediate", first.Scenario)
}

func TestCompare_PutsARowBesideTheFloorAndTheNaiveProgram(t *testing.T) {
	t.Parallel()
	all := []result{
		{Scenario: "immediate", Engine: sqliteEngine, DeliveredPerS: 85, CPUMSPerDelivery: 5},
		{Scenario: "immediate", Engine: floorEngine, DeliveredPerS: 100, CPUMSPerDelivery: 4},
		{Scenario: "immediate", Engine: naiveEngine, DeliveredPerS: 17, CPUMSPerDelivery: 20},
		{Scenario: "steady", Engine: naiveEngine, DeliveredPerS: 1},
	}
	for i := range all {
		all[i].compare(all)
	}
	require.InDelta(t, 0.85, all[0].RatioToFloor, 0.001)
	require.InDelta(t, 5, all[0].RatioToNaive, 0.001)
	require.InDelta(t, 0.25, all[0].CPURatioToNaive, 0.001)
	require.Zero(t, all[1].RatioToNaive)
	require.Zero(t, all[2].RatioToFloor)
}

func TestSummarise_SharesOutTheWorkOfEngineAndDatabaseOverAllRounds(t *testing.T) {
	t.Parallel()
	first, second := round(10, 0), round(20, 0)
	first.transitions, second.transitions = 40, 80
	first.statements, second.statements = 600, 1200
	r := summarise("due_at_once", postgresEngine, []*measured{first, second})
	require.InDelta(t, 4.0, r.TransitionsPerDelivery, 0)
	require.InDelta(t, 60.0, r.StatementsPerDelivery, 0)
	var table bytes.Buffer
	writeTable(&table, []result{r})
	require.Contains(t, table.String(), "4.00 state transitions of the engine each")
	require.Contains(t, table.String(), "60.00 statements of the database each")
}
