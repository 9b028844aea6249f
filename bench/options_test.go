package main

import (
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestOptions_QuickChangesDefaultsOnly(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"--messages", "7", "--quick", "--scenarios", "immediate,steady"}, io.Discard)
	require.NoError(t, err)
	require.Equal(t, 7, o.messages)
	require.Equal(t, 1, o.rounds)
	require.Equal(t, 10*time.Second, o.batchEvery)
	require.Equal(t, []string{"immediate", "steady"}, o.only)
}

func TestOptions_RefuseWhatTheyDoNotKnow(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--scenarios", "nightly"}, {"again"}, {"--rounds", "0"}, {"--fast"}, {"--batch-every", "0s"}, {"--postgres", "localhost"}} {
		_, err := parseOptions(args, io.Discard)
		require.Error(t, err, "%v", args)
	}
}
