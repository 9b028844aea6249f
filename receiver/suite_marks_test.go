package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func reschedules(t *testing.T, d database) {
	t.Helper()
	answers := []error{
		Reschedule(sent.Add(time.Hour)),
		fmt.Errorf("reminded: %w", Reschedule(sent.Add(2*time.Hour+1))),
		nil,
	}
	call := 0
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		defer func() { call++ }()
		return answers[call]
	})
	handle := func(after time.Duration) Result {
		return r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent.Add(after)})
	}
	first, second := sent.Add(time.Hour), sent.Add(2*time.Hour+time.Second)
	require.Equal(t, Result{Outcome: Rescheduled, RescheduleTo: first}, handle(0))
	require.Equal(t, Result{Outcome: Rescheduled, RescheduleTo: first, Duplicate: true}, handle(5*time.Second), "the answer was lost")
	require.Equal(t, Result{Outcome: Rescheduled, RescheduleTo: first, Duplicate: true}, handle(time.Hour-1))
	require.Equal(t, 1, d.effects(t))
	require.Equal(t, Result{Outcome: Rescheduled, RescheduleTo: second}, handle(time.Hour))
	require.Equal(t, Result{Outcome: Rescheduled, RescheduleTo: second, Duplicate: true}, handle(time.Hour))
	require.Equal(t, 2, d.effects(t))
	require.Equal(t, Result{Outcome: Accepted}, handle(3*time.Hour))
	require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, handle(3*time.Hour))
	require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, handle(300*time.Hour))
	require.Equal(t, 3, d.effects(t))
	require.Equal(t, 1, d.marks(t))
}

func reschedulesOverlapping(t *testing.T, d database) {
	t.Helper()
	next := sent
	var processes [4]*Receiver
	for i := range processes {
		processes[i] = d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
			return errors.Join(d.work(ctx, tx, m.ID), nil)
		})
	}
	first := d.receiver(t, Config{}, func(context.Context, *sql.Tx, Message) error { return Reschedule(next.Add(time.Hour)) })
	require.Equal(t, Rescheduled, first.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent}).Outcome)
	var copies sync.WaitGroup
	for i := range 40 {
		copies.Go(func() {
			result := processes[i%len(processes)].Handle(t.Context(), Message{ID: "sch_1", SentAt: sent.Add(time.Hour)})
			assert.Equal(t, Accepted, result.Outcome, result.Err)
		})
	}
	copies.Wait()
	require.Equal(t, 1, d.effects(t))
}

func keepsRescheduledMarks(t *testing.T, d database) {
	t.Helper()
	answers := []error{Reschedule(sent.Add(time.Hour)), errWork, nil}
	call := 0
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		defer func() { call++ }()
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		return answers[call]
	})
	require.Equal(t, Rescheduled, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent}).Outcome)
	require.ErrorIs(t, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent.Add(time.Hour)}).Err, errWork)
	require.Equal(t, 1, d.effects(t))
	require.True(t, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent}).Duplicate, "a copy of the first time, much delayed")
	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent.Add(2 * time.Hour)}))
	require.Equal(t, 2, d.effects(t))
}

func prunes(t *testing.T, d database) {
	t.Helper()
	const many = pruneBatch + 5
	now := time.Now()
	tx, err := d.BeginTx(t.Context(), nil)
	require.NoError(t, err)
	mark := func(consumer, id string, at, to time.Time) {
		_, err := tx.ExecContext(t.Context(), d.store(consumer).say.insert, consumer, id, at.Unix())
		require.NoError(t, err)
		if !to.IsZero() {
			_, err := tx.ExecContext(t.Context(), d.store(consumer).say.reschedule, to.Unix(), consumer, id)
			require.NoError(t, err)
		}
	}
	for i := range many {
		mark("billing", fmt.Sprint("old_", i), now.Add(-DefaultKeep-time.Hour), time.Time{})
	}
	mark("billing", "new", now.Add(-DefaultKeep+time.Hour), time.Time{})
	mark("billing", "rescheduled", now.Add(-10*DefaultKeep), now.Add(-DefaultKeep+time.Hour))
	mark("mail", "other", now.Add(-DefaultKeep-time.Hour), time.Time{})
	require.NoError(t, tx.Commit())

	_, err = d.store("billing").Prune(t.Context(), -time.Second)
	require.ErrorContains(t, err, "must not be negative")
	pruned, err := d.store("billing").Prune(t.Context(), 0)
	require.NoError(t, err)
	require.EqualValues(t, many, pruned)
	require.Equal(t, 3, d.marks(t))
	pruned, err = d.store("billing").Prune(t.Context(), time.Hour)
	require.NoError(t, err)
	require.EqualValues(t, 2, pruned)
}

// survivesPruning has the marks of due messages pruned while copies arrive.
func survivesPruning(t *testing.T, d database) {
	t.Helper()
	r := d.receiver(t, Config{}, func(context.Context, *sql.Tx, Message) error { return Reschedule(sent.Add(time.Second)) })
	var both sync.WaitGroup
	both.Go(func() {
		for i := range 50 {
			result := r.Handle(t.Context(), Message{ID: "sch_1", SentAt: sent.Add(time.Duration(i) * time.Second)})
			assert.Equal(t, Rescheduled, result.Outcome, result.Err)
		}
	})
	both.Go(func() {
		for range 20 {
			_, err := d.store("billing").Prune(t.Context(), time.Nanosecond)
			assert.NoError(t, err)
		}
	})
	both.Wait()
}
