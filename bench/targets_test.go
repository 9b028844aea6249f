package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTargets_JudgeEachFigureOnItsOwnEngine(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		r    result
		says string
	}{
		{result{Scenario: "immediate", Engine: sqliteEngine, RatioToNaive: 4.9}, "SHORT immediate: 4.90"},
		{result{Scenario: "immediate", Engine: postgresEngine, RatioToNaive: 4.1}, "ok    immediate: 4.10"},
		{result{Scenario: "immediate", Engine: sqliteEngine, RatioToFloor: 0.84}, "SHORT immediate: 0.84"},
		{result{Scenario: "unnamed_1", Engine: sqliteEngine, DeliveredPerS: 2000}, "ok    unnamed_1: 2000.00"},
		{result{Scenario: "batch", Engine: sqliteEngine, DeliveredPerS: 4999}, "SHORT batch: 4999.00"},
		{result{Scenario: "steady", Engine: sqliteEngine, ReceiptMS: &quantiles{P50: 15, P99: 51}}, "ok    steady: 15.00"},
		{result{Scenario: "steady", Engine: sqliteEngine, ReceiptMS: &quantiles{P50: 15, P99: 51}}, "SHORT steady: 51.00"},
		{result{Scenario: "steady", Engine: sqliteEngine, LatenessMS: &quantiles{P99: 101}}, "SHORT steady: 101.00"},
		{result{Scenario: "due_at_once", Engine: sqliteEngine, RatioToBatch16: 0.9}, "SHORT due_at_once: 0.90"},
		{result{Scenario: "due_at_once", Engine: sqliteEngine, LatenessMS: &quantiles{First: 251}}, "SHORT due_at_once: 251.00"},
		{result{Scenario: "tenants", Engine: sqliteEngine, LatenessMS: &quantiles{P99: 999}}, "ok    tenants: 999.00"},
		{result{Scenario: "far_future", Engine: sqliteEngine, pending: &pending{AcceptedPerSFirst: 100, AcceptedPerSLast: 79}}, "SHORT far_future: 0.79"},
		{result{Scenario: "far_future", Engine: sqliteEngine, pending: &pending{RestartS: 10}}, "ok    far_future: 10.00"},
		{result{Scenario: "far_future", Engine: sqliteEngine, PeakRSSMB: 1025}, "SHORT far_future: 1025.00"},
	} {
		var said bytes.Buffer
		writeTargets(&said, []result{c.r})
		require.Contains(t, said.String(), c.says)
	}
}

func TestTargets_SayNothingOfWhatWasNotMeasured(t *testing.T) {
	t.Parallel()
	var said bytes.Buffer
	for _, s := range scenarios {
		writeTargets(&said, []result{{Scenario: s.name, Engine: sqliteEngine}})
	}
	writeTargets(&said, []result{{Scenario: "batch", Engine: naiveEngine, DeliveredPerS: 1}})
	require.Empty(t, bytes.TrimSpace(said.Bytes()))
}

func TestTargets_AreOfScenariosThatExist(t *testing.T) {
	t.Parallel()
	for _, wanted := range append(targets(), overloadTargets()...) {
		require.Contains(t, scenarioNames(), wanted.scenario)
	}
}
