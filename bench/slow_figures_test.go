package main

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOverloadFigures_PutTheFastStreamBesideItself(t *testing.T) {
	t.Parallel()
	f, alone, beside := &overloadFigures{}, round(100, 0).items, round(100, 0).items
	for _, i := range beside {
		i.received = i.received.Add(2500 * time.Microsecond) // 7.5 ms in place of 5
	}
	f.compare(alone, beside)
	require.InDelta(t, 1.5, f.FastRatio, 0)
	require.InDelta(t, 5.0, f.FastAloneMS.P99, 0)
}

func TestOverloadFigures_ShareOutTheEnginesWork(t *testing.T) {
	t.Parallel()
	f := &overloadFigures{
		SlowMessages: 900, early: 100,
		Transitions: map[string]float64{"Line": 720, "Endpoint": 80, "Dispatch": 500},
	}
	f.perWaiting(100)
	require.InDelta(t, 1.5, f.TransitionsPerWaiting, 0, "one of its own, and half of what carries all")
}

// TestOverloadTargets_AreOfTheirOwnScenario alone, and the figures stand in the JSON by name.
func TestOverloadTargets_AreOfTheirOwnScenario(t *testing.T) {
	t.Parallel()
	results := []result{
		{Scenario: "rate_50", Engine: sqliteEngine, overloadFigures: &overloadFigures{rateFigures: &rateFigures{MostIn10S: 511, FewestIn10S: 495}}},
		{Scenario: "outage", Engine: sqliteEngine, overloadFigures: &overloadFigures{outageFigures: &outageFigures{OutageAttempts: 12, BackInFlight: 10}}},
		{Scenario: "immediate", Engine: sqliteEngine},
	}
	var table bytes.Buffer
	writeTable(&table, results)
	require.Contains(t, table.String(), "SHORT rate_50: 511.00 (in any 10 s, at most 510)")
	require.Contains(t, table.String(), "ok    rate_50: 495.00 (in any 10 s, at least 490)")
	require.Contains(t, table.String(), "ok    outage: 12.00")

	var lines bytes.Buffer
	require.NoError(t, writeJSON(&lines, results[:1]))
	var fields map[string]any
	require.NoError(t, json.Unmarshal(lines.Bytes(), &fields))
	require.InDelta(t, 511.0, fields["most_in_10s"], 0)
	require.NotContains(t, fields, "outage_attempts")
}
