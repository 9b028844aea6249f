package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestFlags_QuickChangesDefaultsOnly(t *testing.T) {
	t.Parallel()
	f, err := parseFlags([]string{"--messages", "7", "--quick", "--scenarios", "immediate,steady"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 7, f.options.Messages)
	require.Equal(t, 1, f.options.Rounds)
	require.Equal(t, 10*time.Second, f.options.System.BatchEvery)
	require.Equal(t, []string{"immediate", "steady"}, f.options.Only)
}

func TestFlags_RefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"--scenarios", "nightly"}, {"again"}, {"--rounds", "0"}, {"--fast"}, {"--batch-every", "0s"}, {"--postgres", "localhost"},
	} {
		_, err := parseFlags(args, io.Discard)
		require.Error(t, err, "%v", args)
	}
}

func TestFlags_StreamsLastAMinuteWhereScenariosAreNamed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		last time.Duration
	}{
		{nil, 15 * time.Second},
		{[]string{"--scenarios", "slow_crm"}, time.Minute},
		{[]string{"--quick"}, 10 * time.Second},
		{[]string{"--streams", "20s"}, 20 * time.Second},
		{[]string{"--streams", "20s", "--scenarios", "slow_crm"}, 20 * time.Second},
	} {
		f, err := parseFlags(c.args, io.Discard)
		require.NoError(t, err)
		require.Equal(t, c.last, f.options.Streams, "%v", c.args)
	}
}
