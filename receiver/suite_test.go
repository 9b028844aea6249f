package receiver

import (
	"context"
	"database/sql"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// overlapping is how many copies of one message arrive at the same time.
const overlapping = 200

var (
	errWork = errors.New("the work failed")
	sent    = time.Unix(1_800_000_000, 0).UTC()
)

// testDatabase is what holds for every database.
func testDatabase(t *testing.T, open func(t *testing.T) database) {
	t.Helper()
	for name, test := range map[string]func(*testing.T, database){
		"commits mark and work together":                        commitsTogether,
		"rolls mark and work back when the function fails":      rollsBackFailures,
		"rolls mark and work back when the function panics":     rollsBackPanics,
		"handles overlapping copies once":                       handlesOverlappingOnce,
		"has a copy wait, and work when the first fails":        worksAfterTheFirstFails,
		"asks a copy to come again when the first takes long":   asksCopiesToComeAgain,
		"interrupts a function that takes too long":             interruptsSlowFunctions,
		"does not take a transaction ended by the function":     refusesEndedTransactions,
		"keeps consumers apart":                                 keepsConsumersApart,
		"does not confuse ids that look alike":                  distinguishesIDs,
		"handles a rescheduled message once each time":          reschedules,
		"handles overlapping copies of a rescheduled one once":  reschedulesOverlapping,
		"keeps a rescheduled mark when its next time fails":     keepsRescheduledMarks,
		"prunes old marks of its own consumer only":             prunes,
		"creates its table once, whoever else does":             createsTableOnce,
		"gives the function connections while copies wait":      leavesConnections,
		"handles different messages whose functions wait":       handlesSideBySide,
		"is not stopped by a mark that is pruned at the moment": survivesPruning,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t))
		})
	}
}

func commitsTogether(t *testing.T, d database) {
	t.Helper()
	calls := 0
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		calls++
		return d.work(ctx, tx, m.ID)
	})
	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	for range 3 {
		require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	}
	require.Equal(t, 1, calls)
	require.Equal(t, 1, d.effects(t))
	require.Equal(t, 1, d.marks(t))
}

func rollsBackFailures(t *testing.T, d database) {
	t.Helper()
	failures := []error{
		errWork, RetryAfter(time.Minute), Abort("no such request"), errors.Join(errWork, Reschedule(sent)), nil,
	}
	call := 0
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		defer func() { call++ }()
		return errors.Join(d.work(ctx, tx, m.ID), nil, failures[call])
	})
	for i := range failures[:4] {
		result := r.Handle(t.Context(), Message{ID: "evt_1"})
		require.NotEqual(t, Accepted, result.Outcome, i)
		require.Error(t, result.Err)
		require.Zero(t, d.effects(t))
		require.Zero(t, d.marks(t))
	}
	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

func rollsBackPanics(t *testing.T, d database) {
	t.Helper()
	call := 0
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		if err := d.work(ctx, tx, m.ID); err != nil {
			return err
		}
		call++
		switch call {
		case 1:
			panic("out of luck")
		case 2:
			runtime.Goexit()
		}
		return nil
	})
	result := r.Handle(t.Context(), Message{ID: "evt_1"})
	require.Equal(t, Failed, result.Outcome)
	require.ErrorContains(t, result.Err, "the function panicked: out of luck")
	require.Zero(t, d.effects(t))

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.Handle(context.Background(), Message{ID: "evt_1"})
	}()
	<-ended
	require.Zero(t, d.effects(t))

	require.Panics(t, func() { // the store alone, whose context goes on
		_, _ = d.store("billing").Once(t.Context(), "evt_1", sent, func(ctx context.Context, tx *sql.Tx) (time.Time, error) {
			panic(d.work(ctx, tx, "evt_1"))
		})
	})
	require.Zero(t, d.Stats().InUse)

	require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

func interruptsSlowFunctions(t *testing.T, d database) {
	t.Helper()
	for name, wait := range map[string]func(context.Context) error{
		"that returns the context's error": func(ctx context.Context) error { return ctx.Err() },
		"that does not look at it":         func(context.Context) error { return nil },
	} {
		r := d.receiver(t, Config{Timeout: 10 * time.Millisecond}, func(ctx context.Context, tx *sql.Tx, m Message) error {
			if err := d.work(ctx, tx, m.ID); err != nil {
				return err
			}
			<-ctx.Done()
			return wait(ctx)
		})
		result := r.Handle(t.Context(), Message{ID: "evt_1"})
		require.Equal(t, Failed, result.Outcome, name)
		require.ErrorContains(t, result.Err, "the function took longer than 10ms, its Timeout", name)
		require.Zero(t, result.RetryAfter, name)
		require.Zero(t, d.effects(t), name)
	}
}

func refusesEndedTransactions(t *testing.T, d database) {
	t.Helper()
	end := (*sql.Tx).Rollback
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		return errors.Join(d.work(ctx, tx, m.ID), end(tx))
	})
	require.Equal(t, Failed, r.Handle(t.Context(), Message{ID: "evt_1"}).Outcome)
	require.Zero(t, d.effects(t))
	end = (*sql.Tx).Commit
	require.Equal(t, Failed, r.Handle(t.Context(), Message{ID: "evt_1"}).Outcome)
	require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, r.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

func keepsConsumersApart(t *testing.T, d database) {
	t.Helper()
	do := func(ctx context.Context, tx *sql.Tx, m Message) error { return d.work(ctx, tx, m.ID) }
	for i, consumer := range []string{"billing", "mail", "Mail"} {
		r, err := New(Config{}, d.store(consumer), do)
		require.NoError(t, err)
		require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: "evt_1"}))
		require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, r.Handle(t.Context(), Message{ID: "evt_1"}))
		require.Equal(t, i+1, d.effects(t))
	}
}

func distinguishesIDs(t *testing.T, d database) {
	t.Helper()
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error { return d.work(ctx, tx, "x") })
	long := strings.Repeat("x", maxID-1)
	ids := []string{"evt_a", "evt_A", "evt_á", "evt_a ", " evt_a", long + "1", long + "2", long, "evt_ß", "evt_ss", "evt_🦊", "evt_🐻"}
	for _, id := range ids {
		require.Equal(t, Result{Outcome: Accepted}, r.Handle(t.Context(), Message{ID: id}), id)
	}
	for _, id := range ids {
		require.True(t, r.Handle(t.Context(), Message{ID: id}).Duplicate, id)
	}
	require.Equal(t, len(ids), d.effects(t))
	for _, id := range []string{"", long + "12", "evt_\x00", "evt_\xff"} {
		result := r.Handle(t.Context(), Message{ID: id})
		require.Equal(t, Aborted, result.Outcome, "%q", id)
		require.Error(t, result.Err)
	}
}
