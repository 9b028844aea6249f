package main

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTrickle_HoldsEachMessageToItsTime(t *testing.T) {
	t.Parallel()
	others, err := startTrickle(t.Context(), wire{copies: 1})
	require.NoError(t, err)
	_, err = others.end(t.Context())
	require.ErrorContains(t, err, "early: meanwhile-0")
}

// refusing is an engine that accepts nothing.
type refusing struct{}

func (refusing) publish(context.Context, *item) error { return errors.New("refused") }

func TestTrickle_TellsWhatStoppedIt(t *testing.T) {
	t.Parallel()
	others, err := startTrickle(t.Context(), refusing{})
	require.NoError(t, err)
	_, err = others.end(t.Context())
	require.ErrorContains(t, err, "meanwhile-0-0: refused")
}
