package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/signature"
)

const (
	testKey    = "test-admin-key-0123456789"
	testSecret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
	testRing   = "k1:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
)

// TestMain lets the test binary stand in for the program, or for a broker, so that a test
// can kill it.
func TestMain(m *testing.M) {
	if os.Getenv("POSTDATE_TEST_AS_PROGRAM") != "" {
		main()
		return
	}
	if os.Getenv(asBroker) != "" {
		if err := serveBroker(os.Args[1], os.Args[2], os.Args[3]); err != nil {
			panic(err)
		}
		return
	}
	flag.Parse()
	// These wait more than they work: for processes to start, and for what is due.
	atOnce := flag.Lookup("test.parallel")
	if atOnce.Value.String() == atOnce.DefValue && runtime.GOMAXPROCS(0) < 4 {
		_ = flag.Set("test.parallel", "4")
	}
	os.Exit(m.Run())
}

// process is the program as a child.
type program struct {
	t        *testing.T
	url      string
	temporal string // address of the engine
	args     []string
	env      []string // settings beside those that all tests have
	cmd      *exec.Cmd
	log      *lockedBuffer
}

// newDevProcess starts everything in one process, on a data folder that outlives it.
func newDevProcess(t *testing.T, env ...string) *program {
	t.Helper()
	port := freePort(t)
	return newProcessWith(t, env, "127.0.0.1:"+port, "dev", "--data", t.TempDir(), "--ui-port", "0", "--temporal-port", port)
}

func newProcess(t *testing.T, temporal string, args ...string) *program {
	t.Helper()
	return newProcessWith(t, nil, temporal, args...)
}

func newProcessWith(t *testing.T, env []string, temporal string, args ...string) *program {
	t.Helper()
	addr := "127.0.0.1:" + freePort(t)
	p := &program{t: t, url: "http://" + addr, temporal: temporal, args: append(args, "--http", addr), env: env}
	t.Cleanup(func() {
		if p.cmd.ProcessState == nil {
			p.stop(syscall.SIGKILL)
		}
		if t.Failed() {
			t.Log(p.log.String())
		}
	})
	p.start()
	return p
}

// data is the folder in which the engine keeps what it knows.
func (p *program) data() string { return p.args[2] }

// start starts the program and waits until it is ready.
func (p *program) start() {
	p.t.Helper()
	p.log = &lockedBuffer{}
	p.cmd = exec.Command(os.Args[0], p.args...)
	p.cmd.Env = append(os.Environ(), "POSTDATE_TEST_AS_PROGRAM=1",
		"POSTDATE_ADMIN_KEY="+testKey, "POSTDATE_SIGNING_SECRET="+testSecret, "POSTDATE_ENCRYPTION_KEYS="+testRing,
		"TEMPORAL_ADDRESS="+p.temporal,
		"POSTDATE_ALLOW_HTTP=true", "POSTDATE_ALLOW_NETWORKS=127.0.0.0/8")
	p.cmd.Env = append(p.cmd.Env, p.env...)
	p.cmd.Stdout, p.cmd.Stderr = p.log, p.log
	require.NoError(p.t, p.cmd.Start())
	eventually.True(p.t, func() bool {
		response, err := http.Get(p.url + "/readyz")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, "the program does not get ready")
}

func (p *program) stop(signal syscall.Signal) {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(signal))
	err := p.cmd.Wait()
	if signal == syscall.SIGTERM {
		require.NoError(p.t, err, "a stop that was asked for is no failure")
	}
}

// call sends a request and answers status and body.
func (p *program) call(method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	return p.callAs("", method, path, body)
}

// callAs is call for a tenant: for the one that is meant where none is named, if it is "".
func (p *program) callAs(tenant, method, path string, body any) (int, map[string]any) {
	p.t.Helper()
	encoded, err := json.Marshal(body)
	require.NoError(p.t, err)
	request, err := http.NewRequestWithContext(p.t.Context(), method, p.url+path, bytes.NewReader(encoded))
	require.NoError(p.t, err)
	request.Header.Set("Authorization", "Bearer "+testKey)
	request.Header.Set("Content-Type", "application/json")
	if tenant != "" {
		request.Header.Set("Postdate-Tenant", tenant)
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(p.t, err)
	defer response.Body.Close()
	var answer map[string]any
	require.NoError(p.t, json.NewDecoder(response.Body).Decode(&answer))
	return response.StatusCode, answer
}

// inbox is a receiver that verifies what arrives, and can fail first.
type inbox struct {
	*httptest.Server
	failures int // how many attempts at each message it answers 503 to

	mu       sync.Mutex
	attempts map[string]int
	accepted chan string
}

func newInbox(t *testing.T, failures int) *inbox {
	t.Helper()
	secret, err := signature.ParseSecret(testSecret)
	require.NoError(t, err)
	in := &inbox{failures: failures, attempts: map[string]int{}, accepted: make(chan string, 10_000)}
	in.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := signature.Verify(r.Header, body, time.Now(), 0, secret); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		id := r.Header.Get(signature.HeaderID)
		in.mu.Lock()
		in.attempts[id]++
		n := in.attempts[id]
		in.mu.Unlock()
		if n <= in.failures {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		in.accepted <- id
	}))
	t.Cleanup(in.Close)
	return in
}

// await waits until each of ids was accepted, at least once.
func (in *inbox) await(t *testing.T, ids map[string]bool) {
	t.Helper()
	missing := len(ids)
	deadline := time.After(2 * time.Minute)
	for missing > 0 {
		select {
		case id := <-in.accepted:
			if waits, ours := ids[id]; ours && waits {
				ids[id] = false
				missing--
			}
		case <-deadline:
			t.Fatalf("%d of %d messages did not arrive", missing, len(ids))
		}
	}
}

func schedule(id, delay, url string) map[string]any {
	return map[string]any{
		"id": id, "type": "payment_request.due", "entity": "customer_42", "delay": delay,
		"data": map[string]any{"payment_request": id}, "to": map[string]any{"url": url},
		"retry":   map[string]any{"schedule": []string{"1s", "2s", "3s", "5s", "10s"}},
		"timeout": "2s", // what a kill cuts off is done again this long after, and some
	}
}

func TestEverythingInOneProcess(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 0)
	p := newDevProcess(t)
	status, answer := p.call(http.MethodPost, "/v1/schedules", schedule("one", "1s", in.URL))
	require.Equal(t, http.StatusCreated, status, answer)
	require.Equal(t, "scheduled", answer["state"])
	in.await(t, map[string]bool{"one": true})
	eventually.True(t, func() bool {
		_, answer = p.call(http.MethodGet, "/v1/schedules/one", nil)
		return answer["state"] == "delivered"
	})
	p.stop(syscall.SIGTERM)
	require.NotContains(t, p.log.String(), testSecret, "a secret that was given is not told again")
}

// TestHalvesAndWholesShareAnEngine has what one process accepts delivered by
// another, and what "serve" accepts delivered while its own worker is away.
func TestHalvesAndWholesShareAnEngine(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 1)
	dev := newDevProcess(t)
	api := newProcess(t, dev.temporal, "api")
	serve := newProcess(t, dev.temporal, "serve")
	worker := newProcess(t, dev.temporal, "worker")
	for name, p := range map[string]*program{"by-api": api, "by-serve": serve} {
		status, answer := p.call(http.MethodPost, "/v1/schedules", schedule(name, "0s", in.URL))
		require.Equal(t, http.StatusCreated, status, answer)
	}
	in.await(t, map[string]bool{"by-api": true, "by-serve": true})
	status, _ := worker.call(http.MethodGet, "/v1/schedules", nil)
	require.Equal(t, http.StatusNotFound, status, "a worker alone answers no API")
	for _, p := range []*program{worker, serve, api} {
		p.stop(syscall.SIGTERM)
	}
}

func TestAStopIsGoneOnFrom(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 2)
	p := newDevProcess(t)
	ids := map[string]bool{}
	for i := range 20 {
		id := fmt.Sprintf("stopped-%d", i)
		ids[id] = true
		status, answer := p.call(http.MethodPost, "/v1/schedules", schedule(id, fmt.Sprintf("%dms", i*100), in.URL))
		require.Equal(t, http.StatusCreated, status, answer)
	}
	p.stop(syscall.SIGTERM)
	p.start()
	in.await(t, ids)
}

// TestAKillLosesNothing kills the process while messages are asleep, due, under
// way and retrying, twice.
func TestAKillLosesNothing(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 2)
	p := newDevProcess(t)
	ids := map[string]bool{}
	for i := range 200 {
		id := fmt.Sprintf("killed-%d", i)
		ids[id] = true
		status, answer := p.call(http.MethodPost, "/v1/schedules", schedule(id, fmt.Sprintf("%dms", (i%5)*700), in.URL))
		require.Equal(t, http.StatusCreated, status, answer)
	}
	p.stop(syscall.SIGKILL)
	p.start()
	p.stop(syscall.SIGKILL)
	p.start()
	in.await(t, ids)
}

// lockedBuffer is a buffer that several goroutines may write to.
type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

// runHere runs the program in this process until the test ends, and answers
// what it writes.
func runHere(t *testing.T, environ []string, args ...string) *lockedBuffer {
	t.Helper()
	out := &lockedBuffer{}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, args, environ, out, out) }()
	t.Cleanup(func() {
		stop()
		require.NoError(t, <-ended)
	})
	return out
}

func TestRun_FailsInOneClearLine(t *testing.T) {
	t.Parallel()
	file := t.TempDir() + "/file"
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for name, test := range map[string]struct {
		environ []string
		args    []string
		says    string
	}{
		"no key": {nil, []string{"serve"}, "POSTDATE_ADMIN_KEY is not set"},
		"no ring": {
			[]string{"POSTDATE_ADMIN_KEY=" + testKey, "POSTDATE_SIGNING_SECRET=" + testSecret},
			[]string{"serve"},
			"POSTDATE_ENCRYPTION_KEYS is not set",
		},
		"no secret":      {nil, []string{"worker"}, "POSTDATE_SIGNING_SECRET is not set"},
		"bad value":      {[]string{"POSTDATE_LOG_FORMAT=xml"}, []string{"dev", "--memory"}, "POSTDATE_LOG_FORMAT"},
		"bad command":    {nil, []string{"deliver"}, `unknown command "deliver"`},
		"bad flag":       {nil, []string{"dev", "--colour"}, "unknown flag: --colour"},
		"data is a file": {nil, []string{"dev", "--data", file}, "data folder"},
		"no Temporal": {
			[]string{"POSTDATE_ADMIN_KEY=" + testKey, "POSTDATE_SIGNING_SECRET=" + testSecret, "POSTDATE_ENCRYPTION_KEYS=" + testRing, "TEMPORAL_ADDRESS=127.0.0.1:1"},
			[]string{"serve", "--http", "127.0.0.1:0"},
			"no Temporal at 127.0.0.1:1",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := run(t.Context(), test.args, test.environ, io.Discard, io.Discard)
			require.ErrorContains(t, err, test.says)
			require.NotContains(t, err.Error(), "\n")
		})
	}
}

// TestNothingLiesInTheClear looks for what was sent, where it went and the
// secrets themselves in all that the process has written to disk.
func TestNothingLiesInTheClear(t *testing.T) {
	t.Parallel()
	in := newInbox(t, 1)
	p := newDevProcess(t)
	body := schedule("sealed", "0s", in.URL+"/path-of-the-receiver")
	body["data"] = map[string]any{"iban": "planted-in-the-data"}
	status, answer := p.call(http.MethodPost, "/v1/schedules", body)
	require.Equal(t, http.StatusCreated, status, answer)
	in.await(t, map[string]bool{"sealed": true})
	eventually.True(t, func() bool {
		_, answer = p.call(http.MethodGet, "/v1/schedules/sealed", nil)
		return answer["state"] == "delivered"
	})
	require.Equal(t, body["data"], answer["data"], "whoever holds the key reads it")
	require.Len(t, answer["attempts"], 2)
	p.stop(syscall.SIGKILL) // leaves the write-ahead logs as they are

	found := false
	require.NoError(t, filepath.WalkDir(p.data(), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		kept, err := os.ReadFile(path)
		require.NoError(t, err)
		found = found || bytes.Contains(kept, []byte("schedule/default/sealed"))
		for _, secret := range []string{"planted-in-the-data", "path-of-the-receiver", "Service Unavailable", testSecret, testKey} {
			require.False(t, bytes.Contains(kept, []byte(secret)), "%q is in %s", secret, filepath.Base(path))
		}
		return nil
	}))
	require.True(t, found, "the id is in the clear, so this looked in the right place")
}
