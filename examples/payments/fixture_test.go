package payments

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/client"
)

// standIn answers for Postdate: it keeps what has an id once, and fails when it is told to.
type standIn struct {
	*httptest.Server

	mu       sync.Mutex
	calls    []string
	kept     map[string]string // ids, and what they are
	failNext int
	loseNext int
}

func newStandIn(t *testing.T) *standIn {
	t.Helper()
	s := &standIn{kept: map[string]string{}}
	mux := http.NewServeMux()
	keep := func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			ID   string `json:"id"`
			Type string `json:"type"`
		}
		if json.NewDecoder(r.Body).Decode(&body) != nil || body.ID == "" {
			s.answer(w, http.StatusUnprocessableEntity, "", "")
			return
		}
		s.answer(w, http.StatusCreated, body.ID, body.Type)
	}
	mux.HandleFunc("POST /v1/schedules", keep)
	mux.HandleFunc("POST /v1/events", keep)
	mux.HandleFunc("DELETE /v1/schedules/{id}", func(w http.ResponseWriter, r *http.Request) {
		s.answer(w, http.StatusOK, r.PathValue("id"), "cancelled")
	})
	s.Server = httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func (s *standIn) answer(w http.ResponseWriter, status int, id, what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failNext > 0 {
		s.failNext--
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	s.calls = append(s.calls, id+" "+what)
	if what == "cancelled" && s.kept[id] != TypeDue {
		status = http.StatusConflict
	}
	s.kept[id] = what
	if s.loseNext > 0 {
		s.loseNext--
		panic(http.ErrAbortHandler)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"id":%q}`, id)
}

func (s *standIn) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.calls...)
}

func (s *standIn) what(id string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept[id]
}

// fixture is both services on a database of their own, and a stand-in for Postdate. Nobody
// empties the outboxes.
type fixture struct {
	db       Database
	postdate *standIn
	a        *ServiceA
	b        *ServiceB
}

// open opens a database of its own for a test. The integration tests have another.
func openSQLite(t *testing.T) string {
	t.Helper()
	return filepath.Join(t.TempDir(), "payments.db")
}

func newFixture(t *testing.T, source string) *fixture {
	t.Helper()
	db, err := Open(source)
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close() })
	require.NoError(t, db.CreateTables(t.Context()))
	f := &fixture{db: db, postdate: newStandIn(t)}
	f.a = &ServiceA{DB: db, Outbox: f.outbox(t, "a"), To: postdate.Destination{URL: "http://b.example/hooks"}}
	f.b = &ServiceB{DB: db, Outbox: f.outbox(t, "b"), RemindEvery: time.Hour}
	return f
}

// outbox is that of a service, as a process that was just started has it.
func (f *fixture) outbox(t *testing.T, service string) *Outbox {
	t.Helper()
	api, err := client.New(f.postdate.URL, "key")
	require.NoError(t, err)
	return NewOutbox(service, f.db, api, slog.New(slog.DiscardHandler))
}

func (f *fixture) create(t *testing.T, id string, expiresIn time.Duration) Request {
	t.Helper()
	r, err := f.a.Create(t.Context(), Request{ID: id, From: "John", To: "Doe", Cents: 1200, ExpiresAt: time.Now().Add(expiresIn)})
	require.NoError(t, err)
	return r
}

// count counts the rows that a query's condition matches.
func (f *fixture) count(t *testing.T, from string, args ...any) int {
	t.Helper()
	return countIn(t, f.db, from, args...)
}

func countIn(t *testing.T, db Database, from string, args ...any) int {
	t.Helper()
	var n int
	require.NoError(t, db.QueryRowContext(t.Context(), db.say("SELECT COUNT(*) FROM "+from), args...).Scan(&n))
	return n
}
