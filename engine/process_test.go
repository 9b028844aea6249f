package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
)

// childFolder names the data folder in the environment of a test binary that is
// to run an engine, and nothing else, until it is killed or its input ends.
const childFolder = "POSTDATE_ENGINE_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childFolder); dir != "" {
		runChild(dir)
	}
	os.Exit(m.Run())
}

func runChild(dir string) {
	e, err := Start(context.Background(), Config{DataDir: dir})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println(e.Address())
	_, _ = io.Copy(io.Discard, os.Stdin)
	e.Stop() // also keeps e, and with it the folder's lock, from being collected until here
	os.Exit(0)
}

func TestEngine_SurvivesTheDeathOfItsProcess(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child := exec.CommandContext(t.Context(), os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+dir)
	out, err := child.StdoutPipe()
	require.NoError(t, err)
	_, err = child.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, child.Start())
	first, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)

	c := dial(t, &Engine{address: strings.TrimSpace(first)})
	for i := range 20 {
		_, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
			ID: fmt.Sprint(i), TaskQueue: queue, StartDelay: 2 * time.Second,
		}, greet, "survivor")
		require.NoError(t, err)
	}
	_, err = Start(t.Context(), Config{DataDir: dir, Logger: slog.New(slog.DiscardHandler)})
	require.ErrorContains(t, err, fmt.Sprintf("is in use by process %d", child.Process.Pid))

	require.NoError(t, child.Process.Kill())
	_ = child.Wait()
	c = dial(t, start(t, Config{DataDir: dir}))
	work(t, c)
	for i := range 20 {
		require.NoError(t, c.GetWorkflow(t.Context(), fmt.Sprint(i), "").Get(t.Context(), nil))
	}
}
