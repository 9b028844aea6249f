package apiserver_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
)

// repeated is a list of n times what, with commas between.
func repeated(n int, what func(int) string) string {
	all := make([]string, n)
	for i := range all {
		all[i] = what(i)
	}
	return strings.Join(all, ",")
}

func constant(text string) func(int) string { return func(int) string { return text } }

// hostileBodies are bodies of up to 256 KiB that are refused for very many reasons.
func hostileBodies() map[string]string {
	member := func(i int) string { return `"` + strconv.FormatInt(int64(i), 36) + `":1` }
	return map[string]string{
		"events":                 `{"events":[` + repeated(80_000, constant(`{}`)) + `]}`,
		"events of other types":  `{"events":[` + repeated(100_000, constant(`1`)) + `]}`,
		"unknown members":        `{` + repeated(30_000, member) + `}`,
		"unknown members inside": `{"events":[` + repeated(100, func(int) string { return `{` + repeated(300, member) + `}` }) + `]}`,
		"a long name":            `{"` + strings.Repeat("x", 250_000) + `":1}`,
		"unknown arrays":         `{"x":[` + repeated(120_000, constant(`0`)) + `]}`,
		"faults in each event":   `{"events":[` + repeated(100, constant(`{"id":1,"entity":2,"type":3,"timestamp":4,"a":1}`)) + `]}`,
	}
}

// What is refused costs no more than what is taken: a small answer, which names a hundred
// faults at most, and little memory. Before, the first of them took 160 MB and was answered
// with 4.7 MB.
//
//nolint:paralleltest // it measures memory, which other tests take too
func TestRefused_CostsLittle(t *testing.T) {
	a := newAPI(t)
	for name, body := range hostileBodies() {
		for _, path := range []string{"/v1/events/batch", "/v1/schedules", "/v1/calendars/c", "/v1/endpoints"} {
			method := http.MethodPost
			if strings.HasPrefix(path, "/v1/calendars") {
				method = http.MethodPut
			}
			allocated := allocatedBy(func() {
				w := a.do(method, path, body)
				p := w.problem(http.StatusUnprocessableEntity, postdate.Invalid)
				require.LessOrEqual(t, len(p.Errors), 100, "%s %s", path, name)
				require.Less(t, w.Body.Len(), 32<<10, "%s %s", path, name)
			})
			require.Less(t, allocated, uint64(24<<20), "%s %s", path, name)
		}
	}
}

func allocatedBy(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestRefused_SaysHowManyFaultsItDoesNotName(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	p := a.do(http.MethodPost, "/v1/events/batch", hostileBodies()["faults in each event"]).problem(http.StatusUnprocessableEntity, postdate.Invalid)
	require.Len(t, p.Errors, 100)
	require.Contains(t, p.Detail, ", and 499 more")
}

func TestRefused_QueriesOfManyParameters(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	query := strings.ReplaceAll(repeated(10_000, func(i int) string { return "x" + strconv.Itoa(i) + "=1" }), ",", "&")
	for _, path := range []string{"/healthz", "/v1/deliveries", "/readyz"} {
		w := a.do(http.MethodGet, path+"?"+query, "")
		w.problem(http.StatusUnprocessableEntity, postdate.Invalid)
		require.Less(t, w.Body.Len(), 1<<10)
	}
}

// More than a few megabytes of bodies are not validated at once: the others wait, and are
// told to come again where that takes too long.
func TestRefused_ValidatesABoundedNumberAtOnce(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	large, err := json.Marshal(map[string]any{"type": "t", "delay": "1h", "data": strings.Repeat("x", 250_000)})
	require.NoError(t, err)
	var packed bytes.Buffer
	packer := gzip.NewWriter(&packed)
	_, err = packer.Write(large)
	require.NoError(t, err)
	require.NoError(t, packer.Close())
	var callers sync.WaitGroup
	var mu sync.Mutex
	statuses := make(map[int]int)
	for range 60 {
		callers.Go(func() {
			w := a.do(http.MethodPost, "/v1/schedules", packed.String(), "Content-Encoding", "gzip")
			mu.Lock()
			defer mu.Unlock()
			statuses[w.Code]++
		})
	}
	callers.Wait()
	require.Equal(t, 60, statuses[http.StatusCreated]+statuses[http.StatusServiceUnavailable], statuses)
	require.Positive(t, statuses[http.StatusCreated])
}

// A caller that sends its body slowly takes no room of the others.
func TestRefused_SlowBodiesHoldUpNobody(t *testing.T) {
	t.Parallel()
	a := newAPI(t)
	ctx, stop := context.WithCancel(t.Context())
	var slow sync.WaitGroup
	for range 40 {
		slow.Go(func() { a.slowly(ctx) })
	}
	began := time.Now()
	for range 5 {
		a.do(http.MethodPost, "/v1/schedules", message{"delay": "1h"}.String()).is(http.StatusCreated)
	}
	require.Less(t, time.Since(began), 5*time.Second)
	stop()
	slow.Wait()
}

// slowly begins a request whose body does not come to its end before ctx does.
func (a *api) slowly(ctx context.Context) {
	r := httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/schedules", &unending{ctx})
	r.Header.Set("Authorization", "Bearer "+adminKey)
	r.Header.Set("Content-Type", "application/json")
	a.handler.ServeHTTP(httptest.NewRecorder(), r)
}

// unending is a body of which nothing more comes.
type unending struct{ ctx context.Context } //nolint:containedctx // of its request

func (u *unending) Read([]byte) (int, error) {
	<-u.ctx.Done()
	return 0, u.ctx.Err()
}
