package receiver

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/signature"
)

// inMemory is a receiver without a database, and what it logs.
func inMemory(t *testing.T, config Config, do func(ctx context.Context, m Message) error) (*Receiver, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	config.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r, err := New(config, InMemory(1000), func(ctx context.Context, _ NoTx, m Message) error { return do(ctx, m) })
	require.NoError(t, err)
	return r, &log
}

func TestNew_RefusesWhatCannotWork(t *testing.T) {
	t.Parallel()
	inMemory := func(config Config, store Store[NoTx]) error {
		_, err := New(config, store, func(context.Context, NoTx, Message) error { return nil })
		return err
	}
	inSQL := func(db *sql.DB, dialect Dialect, consumer string) error {
		_, err := New(Config{}, SQL(db, dialect, consumer), func(context.Context, *sql.Tx, Message) error { return nil })
		return err
	}
	db := openSQLite(t, "").DB
	_, noFunction := New[NoTx](Config{}, InMemory(1), nil)
	for _, c := range []struct {
		err  error
		want string
	}{
		{inMemory(Config{Secrets: []signature.Verifier{signature.NewSecret(), signature.Secret{}}}, InMemory(1)), "secret 2 of 2 is empty"},
		{inMemory(Config{Secrets: []signature.Verifier{nil}}, InMemory(1)), "secret 1 of 1 is empty"},
		{inMemory(Config{Wait: -1}, InMemory(1)), "may be negative"},
		{inMemory(Config{}, InMemory(0)), "the limit must be at least 1"},
		{inMemory(Config{}, nil), "a store and a function are needed"},
		{noFunction, "a store and a function are needed"},
		{inSQL(nil, SQLite, "billing"), "the database is nil"},
		{inSQL(db, 7, "billing"), "Dialect(7) is not a dialect"},
		{inSQL(db, SQLite, ""), "must have 1 to 255 bytes"},
		{SQL(db, 0, "billing").CreateTable(t.Context()), "Dialect(0) is not a dialect"},
	} {
		require.ErrorContains(t, c.err, c.want)
	}
}

func TestHandle_FollowsWhatTheFunctionReturns(t *testing.T) {
	t.Parallel()
	failure := errors.New("no connection")
	for name, c := range map[string]struct {
		returned error
		want     Result
	}{
		"nothing":                   {nil, Result{Outcome: Accepted}},
		"an error":                  {failure, Result{Outcome: Failed}},
		"RetryAfter":                {RetryAfter(time.Minute), Result{Outcome: Failed, RetryAfter: time.Minute}},
		"RetryAfter, wrapped":       {fmt.Errorf("crm: %w", RetryAfter(time.Minute)), Result{Outcome: Failed, RetryAfter: time.Minute}},
		"RetryAfter, negative":      {RetryAfter(-time.Minute), Result{Outcome: Failed}},
		"RetryAfter, for a lock":    {fmt.Errorf("database is locked: %w", RetryAfter(time.Minute)), Result{Outcome: Failed, RetryAfter: time.Minute}},
		"a busy database's error":   {errors.New("database is locked (5) (SQLITE_BUSY)"), Result{Outcome: Failed, RetryAfter: time.Second}},
		"a serialization failure":   {fmt.Errorf("update: %w", stateError("40001")), Result{Outcome: Failed, RetryAfter: time.Second}},
		"a unique violation":        {fmt.Errorf("insert: %w", stateError("23505")), Result{Outcome: Failed}},
		"a deadlock of MySQL":       {errors.New("Error 1213 (40001): Deadlock found when trying to get lock; try restarting transaction"), Result{Outcome: Failed, RetryAfter: time.Second}},
		"Abort":                     {Abort("no such request"), Result{Outcome: Aborted}},
		"Abort, wrapped":            {fmt.Errorf("expire: %w", Abort("no such request")), Result{Outcome: Aborted}},
		"RetryAfter and its cause":  {fmt.Errorf("crm: %w: %w", failure, RetryAfter(time.Minute)), Result{Outcome: Failed, RetryAfter: time.Minute}},
		"Abort and its cause":       {errors.Join(failure, Abort("no such request")), Result{Outcome: Aborted}},
		"Abort and RetryAfter":      {errors.Join(Abort("no such request"), RetryAfter(time.Minute)), Result{Outcome: Failed, RetryAfter: time.Minute}},
		"Reschedule":                {Reschedule(sent.Add(time.Hour)), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(time.Hour)}},
		"Reschedule, wrapped":       {fmt.Errorf("again: %w", Reschedule(sent.Add(time.Hour))), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(time.Hour)}},
		"Reschedule in between":     {Reschedule(sent.Add(90*time.Second + 1)), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(91 * time.Second)}},
		"Reschedule to the past":    {Reschedule(sent.Add(-time.Hour)), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(time.Second)}},
		"Reschedule to now":         {Reschedule(sent), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(time.Second)}},
		"Reschedule elsewhere":      {Reschedule(sent.Add(time.Hour).In(time.FixedZone("", 7200))), Result{Outcome: Rescheduled, RescheduleTo: sent.Add(time.Hour)}},
		"Reschedule to no time":     {Reschedule(time.Time{}), Result{Outcome: Failed}},
		"Reschedule and a failure":  {errors.Join(failure, Reschedule(sent)), Result{Outcome: Failed}},
		"Reschedule of two wrapped": {fmt.Errorf("%w, %w", Reschedule(sent), failure), Result{Outcome: Failed}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, log := inMemory(t, Config{}, func(context.Context, Message) error { return c.returned })
			got := r.Handle(t.Context(), Message{ID: "evt_1", Type: "payment_request.due", SentAt: sent})
			err := got.Err
			got.Err = nil
			require.Equal(t, c.want, got)
			handled := got.Outcome == Accepted || got.Outcome == Rescheduled
			require.Equal(t, handled, err == nil, err)
			require.Equal(t, handled, log.Len() == 0, log)
			if !handled {
				require.Contains(t, log.String(), "message=evt_1 type=payment_request.due error=")
			}
			require.Equal(t, handled, r.Handle(t.Context(), Message{ID: "evt_1", SentAt: sent}).Duplicate)
		})
	}
}

func TestHandle_SaysWhereTheFunctionPanicked(t *testing.T) {
	t.Parallel()
	r, log := inMemory(t, Config{}, func(context.Context, Message) error { panic("out of luck") })
	require.EqualError(t, r.Handle(t.Context(), Message{ID: "evt_1"}).Err, "the function panicked: out of luck")
	require.Contains(t, log.String(), "receiver_test.go")
	require.Empty(t, r.inFlight.locks)
}

func TestHandle_StopsWithItsContext(t *testing.T) {
	t.Parallel()
	begun := make(chan struct{})
	r, _ := inMemory(t, Config{}, func(ctx context.Context, _ Message) error {
		close(begun)
		<-ctx.Done()
		return ctx.Err()
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan Result)
	go func() { done <- r.Handle(ctx, Message{ID: "evt_1"}) }()
	<-begun
	cancel()
	require.ErrorIs(t, (<-done).Err, context.Canceled)

	result := r.Handle(ctx, Message{ID: "evt_1"})
	require.Equal(t, Failed, result.Outcome, "begun after its context was done")
	require.ErrorIs(t, result.Err, ErrBusy)
}

func TestHandle_GivesTheMessageASendingTime(t *testing.T) {
	t.Parallel()
	var got []time.Time
	r, _ := inMemory(t, Config{}, func(_ context.Context, m Message) error {
		got = append(got, m.SentAt)
		return nil
	})
	r.now = func() time.Time { return sent }
	r.Handle(t.Context(), Message{ID: "evt_1"})
	r.Handle(t.Context(), Message{ID: "evt_2", SentAt: sent.Add(time.Hour)})
	require.Equal(t, []time.Time{sent, sent.Add(time.Hour)}, got)
}

func TestMemory_HandlesOverlappingCopiesOnce(t *testing.T) {
	t.Parallel()
	store := InMemory(10)
	calls := 0
	var processes [4]*Receiver
	for i := range processes {
		r, err := New(Config{Wait: time.Minute}, store, func(context.Context, NoTx, Message) error {
			calls++
			return nil
		})
		require.NoError(t, err)
		processes[i] = r
	}
	var copies sync.WaitGroup
	for i := range overlapping {
		copies.Go(func() {
			assert.Equal(t, Accepted, processes[i%4].Handle(t.Context(), Message{ID: "evt_1"}).Outcome)
		})
	}
	copies.Wait()
	require.Equal(t, 1, calls)
}

func TestMemory_ForgetsTheOldestBeyondItsLimit(t *testing.T) {
	t.Parallel()
	store := InMemory(2)
	r, err := New(Config{}, store, func(context.Context, NoTx, Message) error { return nil })
	require.NoError(t, err)
	duplicate := func(id string) bool { return r.Handle(t.Context(), Message{ID: id}).Duplicate }
	require.False(t, duplicate("evt_1"))
	require.False(t, duplicate("evt_2"))
	require.True(t, duplicate("evt_1"))
	require.False(t, duplicate("evt_3"))
	require.True(t, duplicate("evt_2"))
	require.True(t, duplicate("evt_3"))
	require.False(t, duplicate("evt_1"))
	require.Len(t, store.marks, 2)
	require.Equal(t, 2, store.order.Len())
}

func TestMemory_ReschedulesAndPrunes(t *testing.T) {
	t.Parallel()
	store := InMemory(10)
	now := time.Now().Truncate(time.Second)
	answers := []error{Reschedule(now.Add(time.Hour)), nil, nil}
	call := 0
	r, err := New(Config{}, store, func(context.Context, NoTx, Message) error {
		defer func() { call++ }()
		return answers[call]
	})
	require.NoError(t, err)
	require.Equal(t, Rescheduled, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: now}).Outcome)
	require.True(t, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: now}).Duplicate)
	require.Equal(t, Accepted, r.Handle(t.Context(), Message{ID: "evt_1", SentAt: now}).Outcome)

	pruned, err := store.Prune(t.Context(), 0)
	require.NoError(t, err)
	require.Zero(t, pruned)
	pruned, err = store.Prune(t.Context(), time.Nanosecond)
	require.NoError(t, err)
	require.EqualValues(t, 1, pruned, "the other is wanted again in an hour")
	_, err = store.Prune(t.Context(), -1)
	require.Error(t, err)

	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: now.Add(time.Hour)}))
	require.True(t, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: now.Add(2 * time.Hour)}).Duplicate)
}

// stateError is an error as pgx and lib/pq return it.
type stateError string

func (s stateError) Error() string    { return "SQLSTATE " + string(s) }
func (s stateError) SQLState() string { return string(s) }
