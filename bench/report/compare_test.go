package report

import (
	"testing"

	"github.com/stretchr/testify/require"
)

var standards = map[string]Standard{
	"sqlite":   {Floor: "floor", Naive: "naive", Batch16: "batch_16"},
	"postgres": {Floor: "floor_postgres", Naive: "naive_postgres", Batch16: "batch_16_postgres"},
}

func TestCompare_PutsARowBesideOthersOfItsScenario(t *testing.T) {
	t.Parallel()
	results := []Result{
		{Scenario: "immediate", System: "sqlite", DeliveredPerS: 85, CPUMSPerDelivery: 5},
		{Scenario: "immediate", System: "floor", DeliveredPerS: 100, CPUMSPerDelivery: 4},
		{Scenario: "immediate", System: "naive", DeliveredPerS: 17, CPUMSPerDelivery: 20},
		{Scenario: "immediate", System: "batch_16", DeliveredPerS: 170},
		{Scenario: "steady", System: "sqlite", DeliveredPerS: 50},
		{Scenario: "due_at_once", System: "naive", DeliveredPerS: 1},
	}
	Compare(results, standards)
	require.InDelta(t, 0.85, results[0].RatioToFloor, 0)
	require.InDelta(t, 5.0, results[0].RatioToNaive, 0)
	require.InDelta(t, 0.25, results[0].CPURatioToNaive, 0)
	require.InDelta(t, 0.5, results[0].RatioToBatch16, 0)
	require.Zero(t, results[1].RatioToNaive, "a system that is compared with is not compared itself")
	require.Zero(t, results[4].RatioToNaive)
}

func TestCompare_TakesWhatHasTheSameDatabase(t *testing.T) {
	t.Parallel()
	results := []Result{
		{Scenario: "immediate", System: "postgres", DeliveredPerS: 60},
		{Scenario: "immediate", System: "naive_postgres", DeliveredPerS: 20},
		{Scenario: "immediate", System: "floor_postgres", DeliveredPerS: 100},
		{Scenario: "immediate", System: "naive", DeliveredPerS: 1},
		{Scenario: "immediate", System: "floor", DeliveredPerS: 1},
	}
	Compare(results, standards)
	require.InDelta(t, 3.0, results[0].RatioToNaive, 0)
	require.InDelta(t, 0.6, results[0].RatioToFloor, 0)
}
