package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
)

// importFile runs the command import on a file of these lines.
func importFile(t *testing.T, p *program, name string, lines []string, args ...string) (out *lockedBuffer, done chan error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, []byte(strings.Join(lines, "\n")), 0o600))
	out, done = &lockedBuffer{}, make(chan error, 1)
	go func() {
		done <- run(t.Context(), append([]string{"import", "--url", p.url, path}, args...), []string{"POSTDATE_KEY=" + testKey}, out, out)
	}()
	return out, done
}

// TestAKillAmidAnImportLosesNothing kills the server while a file is imported. The command
// goes on by itself, and each schedule is made and delivered once.
func TestAKillAmidAnImportLosesNothing(t *testing.T) {
	t.Parallel()
	const n, killAt = 600, 60
	in := newInbox(t, 0)
	p := newDevProcess(t)
	due := time.Now().Add(20 * time.Second).UTC().Format(time.RFC3339)
	lines := make([]string, n)
	for i := range lines {
		schedule := map[string]any{"type": "t", "due_at": due, "to": map[string]any{"url": in.URL}, "data": i}
		if i%2 == 0 {
			schedule["id"] = "own-" + strconv.Itoa(i)
		}
		text, err := json.Marshal(schedule)
		require.NoError(t, err)
		lines[i] = string(text)
	}
	out, done := importFile(t, p, "many.ndjson", lines, "--import", "killed")
	total := func() int {
		_, answer := p.call(http.MethodGet, "/v1/imports/killed", nil)
		return number(answer["total"])
	}
	eventually.True(t, func() bool { return total() >= killAt }, time.Minute, 10*time.Millisecond)
	p.stop(syscall.SIGKILL)
	p.start()
	require.NoError(t, <-done, out.String())
	require.Contains(t, out.String(), "0 rejected")
	require.Contains(t, out.String(), "again in", "it broke off, and went on")
	eventually.True(t, func() bool {
		_, answer := p.call(http.MethodGet, "/v1/imports/killed", nil)
		states, _ := answer["states"].(map[string]any)
		return number(states["delivered"]) == n
	}, 2*time.Minute, 100*time.Millisecond, "of all that were answered each is kept, and delivered")
	in.mu.Lock()
	defer in.mu.Unlock()
	require.Len(t, in.attempts, n)
	for id, attempts := range in.attempts {
		require.Equal(t, 1, attempts, id)
	}
}

func TestImport_SaysByItsExitStatusWhatBecameOfAll(t *testing.T) {
	t.Parallel()
	p := newDevProcess(t)
	good := `{"type":"t","to":{"url":"https://b.example/hooks"},"delay":"1h"}`
	status := func(err error) int {
		t.Helper()
		var exit exitError
		if err == nil {
			return 0
		}
		require.ErrorAs(t, err, &exit)
		return exit.status
	}
	out, done := importFile(t, p, "good.ndjson", []string{good, good}, "--dry-run")
	require.Equal(t, 0, status(<-done))
	require.Contains(t, out.String(), "2 lines would be taken, 0 rejected; nothing was made.")

	for _, counts := range []string{"2 created, 0 existed already, 0 rejected", "0 created, 2 existed already, 0 rejected"} {
		out, done = importFile(t, p, "good.ndjson", []string{good, good})
		require.Equal(t, 0, status(<-done))
		require.Contains(t, out.String(), counts)
	}

	rejects := filepath.Join(t.TempDir(), "rejects.ndjson")
	out, done = importFile(t, p, "some.csv", []string{
		"type,to.url,delay,data.amount:number", "t,https://b.example/hooks,1h,12.50", "t,https://b.example/hooks,soon,1", "t,https://b.example/hooks,1h,x",
	}, "--rejects", rejects)
	require.Equal(t, exitRejected, status(<-done))
	require.Contains(t, out.String(), "1 created, 0 existed already, 2 rejected")
	kept, err := os.ReadFile(rejects)
	require.NoError(t, err)
	require.Contains(t, string(kept), `"/delay"`)
	require.Contains(t, string(kept), `is no number`)

	_, done = importFile(t, p, "good.ndjson", []string{good}, "--import", "no/name")
	require.Equal(t, exitBroken, status(<-done))
	_, done = importFile(t, p, "good.ndjson", []string{good}, "--format", "xml")
	require.Equal(t, exitBroken, status(<-done))
}
