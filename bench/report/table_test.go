package report

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/rig"
)

func TestTable_SaysWhichTargetsWereMissed(t *testing.T) {
	t.Parallel()
	targets := []Target{
		{"immediate", "times the naive program, at least 5", func(r *Result) (float64, bool) { return r.RatioToNaive, true }, AtLeast(5)},
		{"steady", "not measured", func(*Result) (float64, bool) { return 1, false }, AtMost(0)},
		{"batch", "of a scenario that did not run", func(*Result) (float64, bool) { return 1, true }, AtMost(0)},
		{"due_in_2s", "the latest message in ms, at most 250", func(r *Result) (float64, bool) { return r.LatenessMS.Max, true }, AtMost(250)},
	}
	var table bytes.Buffer
	WriteTable(&table, []Result{
		{Scenario: "immediate", System: "sqlite", RatioToNaive: 3.9},
		{Scenario: "steady", System: "sqlite"},
		{Scenario: "due_in_2s", System: "sqlite", LatenessMS: &Quantiles{Max: 250}},
	}, targets)
	require.Contains(t, table.String(), "SHORT immediate: 3.90 (times the naive program, at least 5)\nok    due_in_2s: 250.00")
	require.NotContains(t, table.String(), "batch")
	require.NotContains(t, table.String(), "not measured")
}

func TestTable_PrintsWhatOnlyOneScenarioMeasures(t *testing.T) {
	t.Parallel()
	due := time.Unix(1_800_000_000, 0)
	noisy := NoisyTenantOf([]*rig.Message{
		{Due: due, Received: due.Add(500 * time.Millisecond)},
		{Due: due, Received: due.Add(100 * time.Millisecond)},
	})
	require.Equal(t, &NoisyTenant{
		NoisyMessages: 2, NoisyDeliveredPerS: 4, NoisyLatenessMS: &Quantiles{First: 100, P50: 100, P99: 500, Max: 500},
	}, noisy)
	ms := &Quantiles{P50: 1, P99: 2, Max: 3}
	for _, c := range []struct {
		r      Result
		prints string
		field  string
		value  float64
	}{
		{Result{NoisyTenant: noisy}, "delivered/s: 4; lateness: 100 ms p50, 500 ms p99", "crowd_messages", 2},
		{
			Result{Hanging: &Hanging{HangingMessages: 4000, HangingInFlight: 8, AloneLatenessMS: ms, AloneRatio: 1.25, AnsweringLatenessMS: ms, AnsweringRatio: 1.5}},
			"beside them p99 × 1.25\n  beside as many that are answered at once: 1 ms p50, 2 ms p99; p99 × 1.50 of that", "hanging_in_flight_max", 8,
		},
		{
			Result{Inbound: &Inbound{
				InboundMessages: 7, Named: InboundLoad{PerS: 200, AnswerMS: ms, AcceptedPerS: 100}, Unnamed: InboundLoad{AnswerMS: ms},
				Events: InboundLoad{AnswerMS: ms, AcceptedPerS: 5}, NamedSlower: []InboundLoad{{PerS: 50, AnswerMS: ms}},
			}},
			"with ids: answered in 1 ms p50, 2 ms p99 at 200/s; 100/s accepted at most", "inbound_messages", 7,
		},
		{
			Result{Pending: &Pending{OthersLatenessMS: ms, ListMS: ms, ListByEntityMS: ms, ListPages: 7, PageSize: 200}},
			"a page of 200, through 7 pages: 1 ms p50, 2 ms p99", "list_pages", 7,
		},
		{
			Result{ReceiptMS: ms, SlowReceiver: &SlowReceiver{FastAloneMS: ms, FastRatio: 1.25, Transitions: map[string]float64{"B": 2, "A": 1}}},
			"state transitions for each that waits ( A 1 B 2 )", "fast_p99_ratio", 1.25,
		},
		{
			Result{SlowReceiver: &SlowReceiver{Outage: &Outage{OutageS: 30, OutageAttempts: 8}}},
			"attempts while it answers 503 (30 s): 8", "outage_attempts", 8,
		},
		{
			Result{SlowReceiver: &SlowReceiver{RateLimit: &RateLimit{MostIn10S: 504, FewestIn10S: 499}}},
			"in any 10 s: at most 504, at least 499", "most_in_10s", 504,
		},
	} {
		var table bytes.Buffer
		WriteTable(&table, []Result{c.r}, nil)
		require.Contains(t, table.String(), c.prints)
		fields := jsonOf(t, c.r)
		require.InDelta(t, c.value, fields[c.field], 0)
		require.Equal(t, c.r.NoisyTenant != nil, fields["crowd_lateness_ms"] != nil, "the others' fields are left out")
	}
}
