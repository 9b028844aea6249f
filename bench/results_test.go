package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

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
