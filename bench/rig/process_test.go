package rig

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcess_ThatEndsByItselfShowsTheEndOfItsLog(t *testing.T) {
	t.Parallel()
	_, err := StartProcess(t.Context(), "it", "http://127.0.0.1:1/", os.Environ(), "sh", "-c", "echo what went wrong >&2; exit 3")
	require.ErrorContains(t, err, "it ended: exit status 3")
	require.ErrorContains(t, err, "what went wrong")
}

func TestProcess_ThatIsStoppedOrKilledDidNotCrash(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Process){
		"stopped": (*Process).Stop,
		"killed":  func(p *Process) { require.NoError(t, p.Kill()) },
	} {
		p, err := start(t.Context(), "it", os.Environ(), "sleep", "60")
		require.NoError(t, err)
		ctx, cancel := context.WithCancelCause(t.Context())
		t.Cleanup(func() { cancel(nil) })
		p.OnCrash(cancel)
		end(p)
		require.NoError(t, ctx.Err(), name)
		require.ErrorContains(t, p.exit, "it ended", name)
	}
}

func TestLogFile_ShowsItsEnd(t *testing.T) {
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
	ports, err := FreePorts(t.Context(), 3)
	require.NoError(t, err)
	require.NotEqual(t, ports[0], ports[1])
	require.NotEqual(t, ports[1], ports[2])
}
