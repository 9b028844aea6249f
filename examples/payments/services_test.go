package payments

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/receiver"
	"github.com/postdate/postdate/receiver/receivertest"
	"github.com/postdate/postdate/signature"
)

func TestServices_OnSQLite(t *testing.T) {
	t.Parallel()
	testServices(t, openSQLite)
}

// testServices is what holds on every database.
func testServices(t *testing.T, open func(t *testing.T) string) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, *fixture){
		"paying and expiring race, and one wins":    oneWins,
		"a request is due only when it says so":     waitsForItsTime,
		"what was paid does not expire":             paidStays,
		"reminders go on until it is paid":          remindersGoOn,
		"what makes no sense is aborted":            abortsNonsense,
		"the outbox is emptied by the next process": outboxOutlivesCrashes,
		"the outbox asks until it is answered":      outboxAsksAgain,
		"service A answers by what the request is":  answersOfServiceA,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, newFixture(t, open(t)))
		})
	}
	t.Run("service B passes receivertest", func(t *testing.T) {
		t.Parallel()
		receivertest.Run(t, serviceB(open))
	})
	t.Run("a subscriber passes receivertest", func(t *testing.T) {
		t.Parallel()
		receivertest.Run(t, aSubscriber(open))
	})
}

func message(t *testing.T, id, kind, request string) receiver.Message {
	t.Helper()
	data, err := json.Marshal(About{request})
	require.NoError(t, err)
	return receiver.Message{ID: id, Type: kind, Data: data, SentAt: time.Now()}
}

func (f *fixture) receiver(t *testing.T) *receiver.Receiver {
	t.Helper()
	r, err := f.b.Receiver(t.Context(), receiver.Config{Logger: slog.New(slog.DiscardHandler), Wait: time.Minute})
	require.NoError(t, err)
	return r
}

func oneWins(t *testing.T, f *fixture) {
	t.Helper()
	b := f.receiver(t)
	const many = 40
	var racing sync.WaitGroup
	for i := range many {
		id := fmt.Sprint("pr_", i)
		f.create(t, id, 0)
		for range 2 {
			racing.Go(func() {
				if _, err := f.a.Pay(t.Context(), id); err != nil {
					t.Error(err)
				}
			})
			racing.Go(func() {
				if result := b.Handle(t.Context(), message(t, expiryID(id), TypeDue, id)); result.Outcome != receiver.Accepted {
					t.Error(result)
				}
			})
		}
	}
	racing.Wait()
	paid, expired := f.count(t, "payment_requests WHERE state = 'PAID'"), f.count(t, "payment_requests WHERE state = 'EXPIRED'")
	require.Equal(t, many, paid+expired)
	require.Equal(t, many, f.count(t, "transitions WHERE state <> 'PENDING'"), "each came into one of them, once")
	require.Equal(t, paid, f.count(t, "outbox WHERE service = 'a' AND call = 'cancel'"))
	require.Equal(t, paid, f.count(t, "outbox WHERE service = 'a' AND call = 'publish'"))
	require.Equal(t, expired, f.count(t, "outbox WHERE service = 'b' AND call = 'publish'"))
}

func waitsForItsTime(t *testing.T, f *fixture) {
	t.Helper()
	r := f.create(t, "pr_1", time.Hour)
	result := f.receiver(t).Handle(t.Context(), message(t, "pr_1-expiry", TypeDue, "pr_1"))
	require.Equal(t, receiver.Rescheduled, result.Outcome)
	require.WithinDuration(t, r.ExpiresAt, result.RescheduleTo, time.Second)
	require.False(t, result.RescheduleTo.Before(r.ExpiresAt))
	require.Equal(t, 1, f.count(t, "payment_requests WHERE state = 'PENDING'"))
}

func paidStays(t *testing.T, f *fixture) {
	t.Helper()
	f.create(t, "pr_1", 0)
	for range 2 {
		r, err := f.a.Pay(t.Context(), "pr_1")
		require.NoError(t, err)
		require.Equal(t, Paid, r.State)
	}
	require.Equal(t, receiver.Accepted, f.receiver(t).Handle(t.Context(), message(t, "pr_1-expiry", TypeDue, "pr_1")).Outcome)
	require.Equal(t, 1, f.count(t, "payment_requests WHERE state = 'PAID'"))
	require.Equal(t, 1, f.count(t, "outbox WHERE call = 'publish'"))
	require.Zero(t, f.count(t, "outbox WHERE service = 'b'"))
}

func remindersGoOn(t *testing.T, f *fixture) {
	t.Helper()
	f.b.RemindEvery = time.Minute
	f.create(t, "pr_1", time.Hour)
	b := f.receiver(t)
	m := message(t, "pr_1-reminder", TypeReminder, "pr_1")
	for range 2 {
		result := b.Handle(t.Context(), m)
		require.Equal(t, receiver.Rescheduled, result.Outcome)
		require.Equal(t, receiver.Result{Outcome: receiver.Rescheduled, Duplicate: true, RescheduleTo: result.RescheduleTo}, b.Handle(t.Context(), m), "a copy")
		m.SentAt = result.RescheduleTo
	}
	require.Equal(t, 1, f.count(t, "payment_requests WHERE reminders = 2"))
	require.Equal(t, 2, f.count(t, "outbox WHERE service = 'b'"))
	_, err := f.a.Pay(t.Context(), "pr_1")
	require.NoError(t, err)
	require.Equal(t, receiver.Result{Outcome: receiver.Accepted}, b.Handle(t.Context(), m), "service B ends the cycle")
	require.Equal(t, 2, f.count(t, "outbox WHERE service = 'b'"))
}

func abortsNonsense(t *testing.T, f *fixture) {
	t.Helper()
	f.create(t, "pr_1", time.Hour)
	b := f.receiver(t)
	for _, m := range []receiver.Message{
		message(t, "1", TypeDue, "pr_2"), message(t, "2", "lunch", "pr_1"), message(t, "3", TypeDue, ""),
		{ID: "4", Type: TypeDue, Data: []byte(`[]`)},
		{ID: "5", Type: TypeDue},
	} {
		require.Equal(t, receiver.Aborted, b.Handle(t.Context(), m).Outcome, m.ID)
	}
}

// What service A has committed is asked of Postdate by whichever process comes next, once.
func outboxOutlivesCrashes(t *testing.T, f *fixture) {
	t.Helper()
	f.a.RemindAfter = time.Hour
	f.create(t, "pr_1", time.Hour)
	_, err := f.a.Pay(t.Context(), "pr_1")
	require.NoError(t, err)
	require.Empty(t, f.postdate.all(), "service A died before it asked")
	require.Equal(t, 4, f.count(t, "outbox"))

	f.run(t, f.outbox(t, "b"), func() bool { return true })
	require.Equal(t, 4, f.count(t, "outbox"), "each service has its own")
	f.run(t, f.outbox(t, "a"), func() bool { return f.count(t, "outbox") == 0 })
	require.Equal(t, []string{
		"pr_1-expiry payment_request.due", "pr_1-reminder payment_request.reminder", "pr_1-expiry cancelled", "pr_1-paid payment_request.paid",
	}, f.postdate.all(), "in their order")
	require.Equal(t, "cancelled", f.postdate.what("pr_1-expiry"))
}

func outboxAsksAgain(t *testing.T, f *fixture) {
	t.Helper()
	f.postdate.failNext, f.postdate.loseNext = 2, 1
	f.create(t, "pr_1", time.Hour)
	f.run(t, f.a.Outbox, func() bool { return f.count(t, "outbox") == 0 })
	require.Equal(t, []string{"pr_1-expiry payment_request.due", "pr_1-expiry payment_request.due"}, f.postdate.all(),
		"asked again under the same id where the answer was lost")

	// It was too late to cancel: Postdate says so, and that is that.
	f.postdate.mu.Lock()
	f.postdate.kept["pr_1-expiry"] = "delivered"
	f.postdate.mu.Unlock()
	_, err := f.a.Pay(t.Context(), "pr_1")
	require.NoError(t, err)
	f.run(t, f.a.Outbox, func() bool { return f.count(t, "outbox") == 0 })
}

// run runs an outbox until something is so.
func (f *fixture) run(t *testing.T, o *Outbox, until func() bool) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { o.Run(ctx) })
	eventually.True(t, until)
	stop()
	running.Wait()
}

func answersOfServiceA(t *testing.T, f *fixture) {
	t.Helper()
	call := func(method, path, body string) (int, Request) {
		answer := httptest.NewRecorder()
		f.a.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, strings.NewReader(body)))
		var r Request
		_ = json.Unmarshal(answer.Body.Bytes(), &r)
		return answer.Code, r
	}
	for _, bad := range []string{``, `{}`, `[`, `{"from":"John","to":"Doe","cents":-1,"expires_in":5}`, `{"from":"John","to":"Doe","cents":1,"expires_in":1e300}`} {
		status, _ := call(http.MethodPost, "/requests", bad)
		require.Equal(t, http.StatusUnprocessableEntity, status, bad)
	}
	status, r := call(http.MethodPost, "/requests", `{"from":"John","to":"Doe","cents":1200,"expires_in":3600}`)
	require.Equal(t, http.StatusCreated, status)
	require.Equal(t, Pending, r.State)
	status, r = call(http.MethodPost, "/requests/"+r.ID+"/pay", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, Paid, r.State)
	status, again := call(http.MethodGet, "/requests/"+r.ID, "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, r, again)
	for _, path := range []string{"/requests/pr_0", "/requests/pr_0/pay"} {
		method := http.MethodGet
		if strings.HasSuffix(path, "/pay") {
			method = http.MethodPost
		}
		status, _ = call(method, path, "")
		require.Equal(t, http.StatusNotFound, status, path)
	}
	f.create(t, "pr_late", 0)
	require.Equal(t, receiver.Accepted, f.receiver(t).Handle(t.Context(), message(t, "e", TypeDue, "pr_late")).Outcome)
	status, r = call(http.MethodPost, "/requests/pr_late/pay", "")
	require.Equal(t, http.StatusConflict, status)
	require.Equal(t, Expired, r.State)
}

// serviceB opens service B for receivertest: each message is about a request of its own.
func serviceB(open func(t *testing.T) string) func(*testing.T, receivertest.Step) receivertest.Receiver {
	return func(t *testing.T, step receivertest.Step) receivertest.Receiver {
		t.Helper()
		f := newFixture(t, open(t))
		return tested(t, f.db, "service-b", f.b.handle, step, receivertest.Receiver{
			Effects: func(id string) int { return f.count(t, "transitions WHERE state = 'EXPIRED' AND request_id = $1", id) },
			Body: func(id string) []byte {
				_, err := f.db.ExecContext(t.Context(), f.db.say(`INSERT INTO payment_requests (id, payee, payer, cents, state, expires_at)
					VALUES ($1, 'John', 'Doe', 1, 'PENDING', 0) ON CONFLICT DO NOTHING`), id)
				require.NoError(t, err)
				return body(t, TypeDue, id)
			},
		})
	}
}

func aSubscriber(open func(t *testing.T) string) func(*testing.T, receivertest.Step) receivertest.Receiver {
	return func(t *testing.T, step receivertest.Step) receivertest.Receiver {
		t.Helper()
		db, err := Open(open(t))
		require.NoError(t, err)
		t.Cleanup(func() { _ = db.Close() })
		require.NoError(t, CreateNotifications(t.Context(), db))
		return tested(t, db, "john", Subscriber{Name: "john", DB: db}.handle, step, receivertest.Receiver{
			Effects: func(id string) int { return countIn(t, db, "notifications WHERE request_id = $1", id) },
			Body:    func(id string) []byte { return body(t, TypeExpired, id) },
		})
	}
}

func body(t *testing.T, kind, request string) []byte {
	t.Helper()
	text, err := json.Marshal(map[string]any{"type": kind, "timestamp": time.Now(), "data": About{request}})
	require.NoError(t, err)
	return text
}

// tested is a receiver whose work calls step before it is committed.
func tested(t *testing.T, db Database, consumer string, do receiver.Func[*sql.Tx], step receivertest.Step, r receivertest.Receiver) receivertest.Receiver {
	t.Helper()
	secret := signature.NewSecret()
	marks := receiver.SQL(db.DB, db.Dialect, consumer)
	require.NoError(t, marks.CreateTable(t.Context()))
	handler, err := receiver.New(receiver.Config{Secrets: []signature.Verifier{secret}, Logger: slog.New(slog.DiscardHandler)}, marks,
		func(ctx context.Context, tx *sql.Tx, m receiver.Message) error {
			if err := do(ctx, tx, m); err != nil {
				return err
			}
			return step(ctx, m.ID)
		})
	require.NoError(t, err)
	r.Handler, r.Signer = handler, secret
	return r
}
