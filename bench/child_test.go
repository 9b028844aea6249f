package main

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestChild_ThatEndsTellsTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	c, err := startChild(t.Context(), "it", os.Environ(), "sh", "-c", "echo what went wrong >&2; exit 3")
	require.NoError(t, err)
	err = c.ready(t.Context(), "http://127.0.0.1:1/")
	require.ErrorContains(t, err, "it ended: exit status 3")
	require.ErrorContains(t, err, "what went wrong")
}

func TestChild_ThatIsStoppedDidNotCrash(t *testing.T) {
	t.Parallel()
	c, err := startChild(t.Context(), "it", os.Environ(), "sleep", "60")
	require.NoError(t, err)
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	c.onCrash(cancel)
	c.stop()
	require.NoError(t, ctx.Err())
	require.ErrorContains(t, c.how, "it ended")
}

func TestLogFile_TellsItsEnd(t *testing.T) {
	t.Parallel()
	log, err := newLogFile()
	require.NoError(t, err)
	defer log.Close()
	_, err = log.WriteString(strings.Repeat("x", 2*logEnd) + "the end\n")
	require.NoError(t, err)
	require.True(t, strings.HasSuffix(log.String(), "xthe end"))
	require.Len(t, log.String(), logEnd-1) // without the line break
}

func TestFreePorts_Differ(t *testing.T) {
	t.Parallel()
	ports, err := freePorts(t.Context(), 3)
	require.NoError(t, err)
	require.NotEqual(t, ports[0], ports[1])
	require.NotEqual(t, ports[1], ports[2])
}
