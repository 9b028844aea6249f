package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/importer"
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

// gatedSource holds back what follows a line until the gate is opened.
type gatedSource struct {
	lines []string
	next  int
	at    int
	gate  chan struct{}
}

func (s *gatedSource) Next() (importer.Line, error) {
	if s.next == s.at {
		<-s.gate
	}
	if s.next == len(s.lines) {
		return importer.Line{}, io.EOF
	}
	s.next++
	return importer.Line{Number: s.next, Text: []byte(s.lines[s.next-1])}, nil
}

// TestAKillAmidAnImportLosesNothing kills the server while a file is imported. The client
// goes on by itself, the same file is sent once more, and each schedule is made and delivered
// once: those that share executions, and those that are named.
func TestAKillAmidAnImportLosesNothing(t *testing.T) {
	t.Parallel()
	const n, killAt = 900, 120
	in := newInbox(t, 0)
	p := newDevProcess(t)
	due := time.Now().Add(30 * time.Second).UTC().Format(time.RFC3339)
	lines := make([]string, n)
	for i := range lines {
		schedule := map[string]any{"type": "t", "due_at": due, "to": map[string]any{"url": in.URL}, "data": i}
		if i%10 == 0 {
			schedule["id"] = "own-" + strconv.Itoa(i)
		}
		text, err := json.Marshal(schedule)
		require.NoError(t, err)
		lines[i] = string(text)
	}
	source := &gatedSource{lines: lines, at: 2*n/3 + 50, gate: make(chan struct{})}
	var mu sync.Mutex
	answered, broke := make(map[int]importer.Result), 0
	done := make(chan error, 1)
	go func() {
		done <- importer.Run(t.Context(), importer.Config{
			URL: p.url, Key: testKey, Name: "killed", GiveUp: 2 * time.Minute,
			Answered: func(line importer.Line, r importer.Result) error {
				mu.Lock()
				defer mu.Unlock()
				answered[line.Number] = r
				return nil
			},
			Broke: func(error, time.Duration) { mu.Lock(); defer mu.Unlock(); broke++ },
		}, source)
	}()
	eventually.True(t, func() bool { mu.Lock(); defer mu.Unlock(); return len(answered) >= killAt })
	p.stop(syscall.SIGKILL)
	p.start()
	close(source.gate)
	require.NoError(t, <-done)
	require.Positive(t, broke, "it broke off, and went on")
	require.Len(t, answered, n)
	ids := make(map[string]bool)
	for line, r := range answered {
		require.Contains(t, []int{http.StatusOK, http.StatusCreated}, r.Status, "line %d: %s", line, r.Detail)
		ids[r.ID] = true
	}
	require.Len(t, ids, n)

	out, again := importFile(t, p, "many.ndjson", lines, "--import", "killed")
	require.NoError(t, <-again, out.String())
	require.Contains(t, out.String(), "0 created, 900 existed already, 0 rejected")
	eventually.True(t, func() bool {
		_, answer := p.call(http.MethodGet, "/v1/imports/killed", nil)
		states, _ := answer["states"].(map[string]any)
		return number(states["delivered"]) == n && number(answer["total"]) == n
	}, "of all that were answered each is kept, and delivered")
	in.mu.Lock()
	defer in.mu.Unlock()
	require.Len(t, in.attempts, n)
	for id, attempts := range in.attempts {
		require.Equal(t, 1, attempts, id)
		require.True(t, ids[id], id)
	}
}

// TestAKillAmidACancellationIsCounted kills the server while an import is cancelled. The
// operation goes on, and says in the end how many there were.
func TestAKillAmidACancellationIsCounted(t *testing.T) {
	t.Parallel()
	const n = 20_000
	p := newDevProcess(t)
	line := `{"type":"t","due_at":"` + time.Now().Add(365*24*time.Hour).UTC().Format(time.RFC3339) + `","to":{"url":"https://b.example/hooks"}}`
	lines := make([]string, n)
	for i := range lines {
		lines[i] = line
	}
	out, done := importFile(t, p, "many.ndjson", lines, "--import", "killed")
	require.NoError(t, <-done, out.String())
	counted := func() (cancelled, total int) {
		_, answer := p.call(http.MethodGet, "/v1/imports/killed", nil)
		states, _ := answer["states"].(map[string]any)
		return number(states["cancelled"]), number(answer["total"])
	}
	eventually.True(t, func() bool { _, total := counted(); return total == n })
	status, begun := p.call(http.MethodPost, "/v1/deliveries/cancel", map[string]any{"import": "killed"})
	require.Equal(t, http.StatusAccepted, status, begun)
	eventually.True(t, func() bool {
		_, answer := p.call(http.MethodGet, "/v1/schedules?import=killed&state=cancelled&limit=1", nil)
		found, _ := answer["data"].([]any)
		return len(found) > 0
	})
	p.stop(syscall.SIGKILL)
	p.start()
	cancelled, _ := counted()
	t.Logf("%d were cancelled when it was killed", cancelled)
	var operation map[string]any
	eventually.True(t, func() bool {
		_, operation = p.call(http.MethodGet, "/v1/operations/"+begun["id"].(string), nil)
		return operation["state"] == "finished"
	}, "%v", &operation)
	for what, want := range map[string]int{"found": n, "done": n, "skipped": 0, "failed": 0} {
		require.Equal(t, want, number(operation[what]), "%s: %v", what, operation)
	}
	eventually.True(t, func() bool { cancelled, total := counted(); return cancelled == n && total == n })
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
