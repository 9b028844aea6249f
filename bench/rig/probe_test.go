package rig

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProbe_HoldsEachMessageToItsTime(t *testing.T) {
	t.Parallel()
	p, err := StartProbe(t.Context(), wire{copies: 1})
	require.NoError(t, err)
	_, err = p.End(t.Context())
	require.ErrorContains(t, err, "early: probe-0")
}

func TestProbe_ReturnsWhatStoppedIt(t *testing.T) {
	t.Parallel()
	p, err := StartProbe(t.Context(), refusing{})
	require.NoError(t, err)
	_, err = p.End(t.Context())
	require.ErrorContains(t, err, "probe-0-0: refused")
}
