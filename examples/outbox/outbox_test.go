package outbox_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	_ "modernc.org/sqlite"

	"github.com/postdate/postdate/client"
	"github.com/postdate/postdate/examples/outbox"
	"github.com/postdate/postdate/internal/eventually"
)

// postdate answers as Postdate does, and loses every second answer.
type postdate struct {
	t        *testing.T
	mu       sync.Mutex
	requests int
	batches  map[string]client.EventBatch // by their keys
}

func (p *postdate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var batch client.EventBatch
	if json.NewDecoder(r.Body).Decode(&batch) != nil || len(batch.Events) > outbox.MaxBatch {
		http.Error(w, "not a batch", http.StatusBadRequest)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if first, repeated := p.batches[key]; repeated {
		assert.Equal(p.t, first, batch, "a key stands for one batch: with another it is a conflict")
	}
	p.batches[key] = batch
	p.requests++
	if p.requests%2 == 1 {
		panic(http.ErrAbortHandler) // the answer is lost
	}
	results := make([]client.EventResult, len(batch.Events))
	for i, event := range batch.Events {
		if event.Type == "refused" {
			results[i].Error = &client.EventError{Code: "invalid", Detail: "not this one"}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusAccepted)
	if err := json.NewEncoder(w).Encode(client.PublishedBatch{Data: results}); err != nil {
		p.t.Error(err)
	}
}

// published is how often each event was published under a key of its own.
func (p *postdate) published() map[string]int {
	p.mu.Lock()
	defer p.mu.Unlock()
	counts := make(map[string]int)
	for _, batch := range p.batches {
		for _, event := range batch.Events {
			counts[string(event.Data)]++
		}
	}
	return counts
}

func newDatabase(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "service.db")+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	_, err = db.ExecContext(t.Context(), outbox.Schema)
	require.NoError(t, err)
	return db
}

func add(t *testing.T, db *sql.DB, commit bool, events ...outbox.Event) {
	t.Helper()
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	for _, event := range events {
		require.NoError(t, outbox.Add(t.Context(), tx, event))
	}
	if commit {
		require.NoError(t, tx.Commit())
		return
	}
	require.NoError(t, tx.Rollback())
}

func numbered(from, to int) (events []outbox.Event) {
	for n := from; n < to; n++ {
		events = append(events, outbox.Event{Type: "order.paid", Entity: "customer_42", Data: fmt.Appendf(nil, `{"n":%d}`, n)})
	}
	return events
}

func TestEachCommittedEventIsPublishedOnce(t *testing.T) {
	t.Parallel()
	service := &postdate{t: t, batches: make(map[string]client.EventBatch)}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	api, err := client.New(server.URL, "key")
	require.NoError(t, err)
	db := newDatabase(t)
	relay := &outbox.Relay{DB: db, Postdate: api, Name: "orders"}

	add(t, db, true, numbered(0, 150)...)
	add(t, db, false, numbered(1000, 1001)...)
	failed := 0
	for n, more := 150, true; more; {
		published, err := relay.Publish(t.Context())
		if err != nil {
			failed++
			// What comes before the batch is published again does not change it, nor does
			// another process that takes over.
			add(t, db, true, numbered(n, n+30)...)
			n += 30
			relay = &outbox.Relay{DB: db, Postdate: api, Name: "orders"}
			if n > 400 {
				add(t, db, true, outbox.Event{Type: "refused", Data: json.RawMessage(`"refused"`)})
			}
			continue
		}
		more = published > 0 && failed < 20
	}
	require.Positive(t, failed, "answers were lost")
	var left int
	require.NoError(t, db.QueryRowContext(t.Context(), `SELECT COUNT(*) FROM outbox WHERE refused IS NULL`).Scan(&left))
	require.Zero(t, left)
	counts := service.published()
	require.NotContains(t, counts, `{"n":1000}`, "it was rolled back")
	for data, count := range counts {
		if data != `"refused"` {
			require.Equal(t, 1, count, "%s was published under %d keys", data, count)
		}
	}
	require.GreaterOrEqual(t, len(counts), 150+failed*30)
}

func TestTheRelayGoesOnAfterAFailure(t *testing.T) {
	t.Parallel()
	service := &postdate{t: t, batches: make(map[string]client.EventBatch)}
	server := httptest.NewServer(service)
	t.Cleanup(server.Close)
	api, err := client.New(server.URL, "key")
	require.NoError(t, err)
	db := newDatabase(t)
	add(t, db, true, numbered(0, 3)...)
	add(t, db, true, outbox.Event{Type: "refused", Data: json.RawMessage(`{}`)})
	ctx, stop := context.WithCancel(t.Context())
	reported := make(chan error, 10)
	done := make(chan struct{})
	go func() {
		defer close(done)
		(&outbox.Relay{DB: db, Postdate: api, Name: "orders"}).Run(ctx, time.Millisecond, func(err error) { reported <- err })
	}()
	require.ErrorContains(t, <-reported, "publish batch 1")
	eventually.True(t, func() bool {
		var left, refused int
		err := db.QueryRowContext(t.Context(), `SELECT COUNT(*), COUNT(refused) FROM outbox`).Scan(&left, &refused)
		return err == nil && left == 1 && refused == 1
	}, "what is refused stays, with the reason")
	stop()
	<-done
	tx, err := db.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	require.Error(t, outbox.Add(t.Context(), tx, outbox.Event{Type: "x", Data: json.RawMessage(`{`)}))
	require.NoError(t, tx.Rollback())
}
