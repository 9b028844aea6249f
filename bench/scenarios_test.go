package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// picked are the names of the scenarios that a run with those arguments measures.
func picked(t *testing.T, args ...string) []string {
	t.Helper()
	o, err := parseOptions(args, io.Discard)
	require.NoError(t, err)
	var names []string
	for _, s := range scenarios {
		if o.picks(s) {
			names = append(names, s.name)
		}
	}
	return names
}

func TestScenarios_OfARunAreThoseThatThereIsTimeFor(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"immediate", "due_at_once", "steady", "unnamed_1", "batch"}, picked(t, "--quick"))
	require.Subset(t, picked(t), picked(t, "--quick"))
	require.NotContains(t, picked(t), "due_at_once_30000")
	require.Equal(t, []string{"due_at_once_30000", "far_future"}, picked(t, "--quick", "--scenarios", "far_future,due_at_once_30000"))
}

func TestScenarios_WithQuickOnlyImmediateHasRivals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args  []string
		alone []string
	}{
		{[]string{"--quick"}, []string{"due_at_once"}},
		{[]string{"--quick", "--scenarios", "due_at_once"}, nil},
		{[]string{"--rivals=false"}, []string{"immediate", "due_at_once"}},
		{nil, nil},
	} {
		o, err := parseOptions(c.args, io.Discard)
		require.NoError(t, err)
		var alone []string
		for _, s := range scenarios[:4] {
			if len(s.rivals) > 0 && s.in == quick && o.alone(s) {
				alone = append(alone, s.name)
			}
		}
		require.Equal(t, c.alone, alone, "%v", c.args)
	}
}

func TestStreams_LastAMinuteWhereTheyAreAskedForByName(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		last time.Duration
	}{
		{nil, 15 * time.Second},
		{[]string{"--scenarios", "slow_crm"}, time.Minute},
		{[]string{"--streams", "20s"}, 20 * time.Second},
		{[]string{"--streams", "20s", "--scenarios", "slow_crm"}, 20 * time.Second},
	} {
		o, err := parseOptions(c.args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, c.last, o.streams, "%v", c.args)
	}
}
