package system

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// service is a receiver that verifies, and refuses all while it is down.
type service struct {
	url  string
	down atomic.Bool

	mu       sync.Mutex
	received []string
}

func newService(t *testing.T, secret signature.Secret) *service {
	t.Helper()
	s := &service{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		switch err := signature.Verify(req.Header, body, time.Now(), time.Minute, secret); {
		case err != nil:
			w.WriteHeader(http.StatusUnauthorized)
		case s.down.Load():
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			s.mu.Lock()
			s.received = append(s.received, req.Header.Get("Webhook-Id"))
			s.mu.Unlock()
		}
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// openScanner is one on a table of its own.
func openScanner(t *testing.T, senders int) *scanner {
	t.Helper()
	table, err := openTable(t.Context(), filepath.Join(t.TempDir(), "batch.db"), "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = table.db.Close() })
	return newScanner(table, senders)
}

func insertRow(t *testing.T, c *scanner, id, to string, due time.Time) {
	t.Helper()
	require.NoError(t, c.table.insert(t.Context(), row{ID: id, URL: to, Due: due.UnixMilli(), Body: json.RawMessage(`{"a": 1}`)}))
}

func TestScan_SendsWhatIsDueOnce(t *testing.T) {
	t.Parallel()
	c := openScanner(t, 16)
	to := newService(t, c.secret)
	insertRow(t, c, "past", to.url, time.Now().Add(-time.Hour))
	insertRow(t, c, "now", to.url, time.Now())
	insertRow(t, c, "future", to.url, time.Now().Add(time.Hour))
	for range 2 {
		require.NoError(t, c.scan(t.Context()))
		require.ElementsMatch(t, []string{"past", "now"}, to.received)
	}
}

func TestScan_LeavesWhatFailsForTheNextOne(t *testing.T) {
	t.Parallel()
	c := openScanner(t, 1)
	up, down := newService(t, c.secret), newService(t, c.secret)
	down.down.Store(true)
	insertRow(t, c, "a", down.url, time.Now())
	insertRow(t, c, "b", up.url, time.Now())
	require.NoError(t, c.scan(t.Context()))
	require.Equal(t, []string{"b"}, up.received)

	down.down.Store(false)
	require.NoError(t, c.scan(t.Context()))
	require.Equal(t, []string{"b"}, up.received)
	require.Equal(t, []string{"a"}, down.received)
}

func TestScan_GoesThroughAllPagesThoughTheFirstFails(t *testing.T) {
	t.Parallel()
	c := openScanner(t, 16)
	up, down := newService(t, c.secret), newService(t, c.secret)
	down.down.Store(true)
	due := time.Now()
	for i := range batchPage + 1 {
		insertRow(t, c, fmt.Sprintf("a%d", i), down.url, due)
	}
	insertRow(t, c, "last", up.url, due)
	require.NoError(t, c.scan(t.Context()))
	require.Equal(t, []string{"last"}, up.received)
}

func TestLoop_ScansAtTheTimeThatIsSet(t *testing.T) {
	t.Parallel()
	c := openScanner(t, 1)
	received := make(chan string)
	to := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, req *http.Request) {
		received <- req.Header.Get("Webhook-Id")
	}))
	t.Cleanup(to.Close)
	insertRow(t, c, "a", to.URL, time.Now())
	next, ended := make(chan time.Time), make(chan error)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- c.loop(ctx, time.Hour, next) }()
	next <- time.Now()
	require.Equal(t, "a", <-received)
	cancel()
	require.NoError(t, <-ended)
}

func TestTable_IsThereAfterARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "batch.db")
	first, err := openTable(t.Context(), file, "")
	require.NoError(t, err)
	require.NoError(t, first.insert(t.Context(), row{ID: "a", Body: json.RawMessage(`{}`)}))
	require.NoError(t, first.db.Close())

	second, err := openTable(t.Context(), file, "")
	require.NoError(t, err)
	defer second.db.Close()
	due, err := second.due(t.Context(), time.Now(), row{}, 10)
	require.NoError(t, err)
	require.Equal(t, []row{{ID: "a", Body: json.RawMessage(`{}`)}}, due)
}
