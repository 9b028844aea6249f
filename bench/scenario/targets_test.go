package scenario

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/bench/report"
	"github.com/postdate/postdate/bench/system"
)

func printed(r report.Result) string {
	var table bytes.Buffer
	report.WriteTable(&table, []report.Result{r}, Targets())
	return table.String()
}

func TestTargets_JudgeEachFigureOnItsOwnSystem(t *testing.T) {
	t.Parallel()
	const sqlite = system.PostdateSQLite
	quantiles := &report.Quantiles{P50: 15, P99: 51}
	for _, c := range []struct {
		r      report.Result
		prints string
	}{
		{report.Result{Scenario: "immediate", System: sqlite, RatioToNaive: 4.9}, "SHORT immediate: 4.90"},
		{report.Result{Scenario: "immediate", System: system.PostdatePostgres, RatioToNaive: 4.1}, "ok    immediate: 4.10"},
		{report.Result{Scenario: "immediate", System: sqlite, RatioToFloor: 0.84}, "SHORT immediate: 0.84"},
		{report.Result{Scenario: "unnamed_1", System: sqlite, DeliveredPerS: 2000}, "ok    unnamed_1: 2000.00"},
		{report.Result{Scenario: "batch", System: sqlite, DeliveredPerS: 4999}, "SHORT batch: 4999.00"},
		{report.Result{Scenario: "steady", System: sqlite, ReceiptMS: quantiles}, "ok    steady: 15.00"},
		{report.Result{Scenario: "steady", System: sqlite, ReceiptMS: quantiles}, "SHORT steady: 51.00"},
		{report.Result{Scenario: "steady", System: sqlite, LatenessMS: &report.Quantiles{P99: 101}}, "SHORT steady: 101.00"},
		{report.Result{Scenario: "due_in_2s", System: sqlite, LatenessMS: &report.Quantiles{Max: 250}}, "ok    due_in_2s: 250.00"},
		{report.Result{Scenario: "due_at_once", System: sqlite, RatioToBatch16: 0.9}, "SHORT due_at_once: 0.90"},
		{report.Result{Scenario: "due_at_once", System: sqlite, LatenessMS: &report.Quantiles{First: 251}}, "SHORT due_at_once: 251.00"},
		{report.Result{Scenario: "tenants", System: sqlite, LatenessMS: &report.Quantiles{P99: 999}}, "ok    tenants: 999.00"},
		{report.Result{Scenario: "far_future", System: sqlite, Pending: pendingFigures(report.Pending{AcceptedPerSFirst: 100, AcceptedPerSLast: 79})}, "SHORT far_future: 0.79"},
		{report.Result{Scenario: "far_future", System: sqlite, Pending: pendingFigures(report.Pending{RestartS: 10})}, "ok    far_future: 10.00"},
		{report.Result{Scenario: "far_future", System: sqlite, PeakRSSMB: 1025}, "SHORT far_future: 1025.00"},
		{report.Result{Scenario: "slow_crm", System: sqlite, ReceiptMS: quantiles, SlowReceiver: &report.SlowReceiver{InFlight: 11}}, "SHORT slow_crm: 11.00 (in flight"},
		{report.Result{Scenario: "slow_crm_3", System: sqlite, SlowReceiver: &report.SlowReceiver{FastRatio: 1.5, DrainedPart: 0.94}}, "ok    slow_crm_3: 1.50"},
		{report.Result{Scenario: "slow_crm_3", System: sqlite, SlowReceiver: &report.SlowReceiver{FastRatio: 1.5, DrainedPart: 0.94}}, "SHORT slow_crm_3: 0.94"},
		{report.Result{Scenario: "outage", System: sqlite, SlowReceiver: &report.SlowReceiver{Outage: &report.Outage{OutageAttempts: 12, BackInFlight: 11}}}, "ok    outage: 12.00"},
		{report.Result{Scenario: "outage", System: sqlite, SlowReceiver: &report.SlowReceiver{Outage: &report.Outage{OutageAttempts: 12, BackInFlight: 11}}}, "SHORT outage: 11.00"},
		{report.Result{Scenario: "rate_50", System: sqlite, SlowReceiver: &report.SlowReceiver{RateLimit: &report.RateLimit{MostIn10S: 511, FewestIn10S: 495}}}, "SHORT rate_50: 511.00 (in any 10 s, at most 510)"},
		{report.Result{Scenario: "rate_50", System: sqlite, SlowReceiver: &report.SlowReceiver{RateLimit: &report.RateLimit{MostIn10S: 511, FewestIn10S: 495}}}, "ok    rate_50: 495.00 (in any 10 s, at least 490)"},
		{report.Result{Scenario: "crash", System: sqlite, Crashes: crashFigures(report.Crashes{LatenessMS: &report.Quantiles{P99: 19_000, Max: 25_001}})}, "ok    crash: 19000.00 (p99"},
		{report.Result{Scenario: "crash", System: sqlite, Crashes: crashFigures(report.Crashes{LatenessMS: &report.Quantiles{P99: 19_000, Max: 25_001}})}, "SHORT crash: 25001.00 (the latest"},
		{report.Result{Scenario: "crash", System: sqlite, Crashes: crashFigures(report.Crashes{RepeatedPart: 0.11})}, "SHORT crash: 0.11"},
	} {
		require.Contains(t, printed(c.r), c.prints)
	}
}

// pendingFigures are p with what the table needs to print any.
func pendingFigures(p report.Pending) *report.Pending {
	p.OthersLatenessMS, p.ListMS, p.ListByEntityMS = &report.Quantiles{}, &report.Quantiles{}, &report.Quantiles{}
	return &p
}

// crashFigures are c with what the table needs to print any.
func crashFigures(c report.Crashes) *report.Crashes {
	c.DownMS = &report.Quantiles{}
	return &c
}

func TestTargets_SayNothingOfWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	results := []report.Result{{Scenario: "batch", System: system.NaiveSQLite, DeliveredPerS: 1}}
	for _, name := range Names() {
		results = append(results, report.Result{Scenario: name, System: system.PostdateSQLite})
	}
	for _, r := range results {
		require.NotContains(t, printed(r), "ok ", r.Scenario)
		require.NotContains(t, printed(r), "SHORT", r.Scenario)
	}
}
