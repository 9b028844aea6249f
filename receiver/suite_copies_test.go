package receiver

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// handlesOverlappingOnce has the copies arrive at twenty processes.
func handlesOverlappingOnce(t *testing.T, d database) {
	t.Helper()
	var calls, handled atomic.Int64
	var processes [20]*Receiver
	for i := range processes {
		processes[i] = d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
			calls.Add(1)
			return d.work(ctx, tx, m.ID)
		})
	}
	var copies sync.WaitGroup
	start := make(chan struct{})
	for i := range overlapping {
		copies.Go(func() {
			<-start
			switch result := processes[i%len(processes)].Handle(t.Context(), Message{ID: "evt_1"}); {
			case !assert.Equal(t, Accepted, result.Outcome, result.Err):
			case !result.Duplicate:
				handled.Add(1)
			}
		})
	}
	close(start)
	copies.Wait()
	require.EqualValues(t, 1, calls.Load())
	require.EqualValues(t, 1, handled.Load())
	require.Equal(t, 1, d.effects(t))
}

func worksAfterTheFirstFails(t *testing.T, d database) {
	t.Helper()
	begun, fail := make(chan struct{}), make(chan struct{})
	first := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		close(begun)
		<-fail
		return errors.Join(d.work(ctx, tx, m.ID), errWork)
	})
	second := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		return d.work(ctx, tx, m.ID)
	})
	failed, accepted := make(chan Result), make(chan Result)
	go func() { failed <- first.Handle(t.Context(), Message{ID: "evt_1"}) }()
	<-begun
	go func() { accepted <- second.Handle(t.Context(), Message{ID: "evt_1"}) }()
	close(fail)
	require.ErrorIs(t, (<-failed).Err, errWork)
	require.Equal(t, Result{Outcome: Accepted}, <-accepted)
	require.Equal(t, 1, d.effects(t))
}

func asksCopiesToComeAgain(t *testing.T, d database) {
	t.Helper()
	begun, finish := make(chan struct{}), make(chan struct{})
	do := func(ctx context.Context, tx *sql.Tx, m Message) error {
		close(begun)
		<-finish
		return d.work(ctx, tx, m.ID)
	}
	const impatient = 50 * time.Millisecond
	first, elsewhere := d.receiver(t, Config{}, do), d.receiver(t, Config{Wait: impatient}, do)
	done := make(chan Result)
	go func() { done <- first.Handle(t.Context(), Message{ID: "evt_1"}) }()
	<-begun
	first.config.Wait = impatient
	for _, copied := range []*Receiver{first, elsewhere, first, elsewhere} {
		result := copied.Handle(t.Context(), Message{ID: "evt_1"})
		require.Equal(t, Failed, result.Outcome)
		require.ErrorIs(t, result.Err, ErrBusy)
		require.Equal(t, busyRetryAfter, result.RetryAfter)
	}
	close(finish)
	require.Equal(t, Result{Outcome: Accepted}, <-done)
	patient := d.receiver(t, Config{}, do)
	require.Equal(t, Result{Outcome: Accepted, Duplicate: true}, patient.Handle(t.Context(), Message{ID: "evt_1"}))
	require.Equal(t, 1, d.effects(t))
}

// leavesConnections has copies of one message arrive while its function works with
// a second connection, of as many as it needs and no more.
func leavesConnections(t *testing.T, d database) {
	t.Helper()
	d.SetMaxOpenConns(2)
	begun, arrived := make(chan struct{}), make(chan struct{})
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error {
		close(begun)
		<-arrived
		var n int
		if err := d.QueryRowContext(ctx, `SELECT COUNT(*) FROM effects`).Scan(&n); err != nil {
			return err
		}
		return d.work(ctx, tx, m.ID)
	})
	var copies sync.WaitGroup
	handle := func() { assert.Equal(t, Accepted, r.Handle(t.Context(), Message{ID: "evt_1"}).Outcome) }
	copies.Go(handle)
	<-begun
	for range 10 {
		copies.Go(handle)
	}
	for waiting := 0; waiting < 11; runtime.Gosched() {
		r.inFlight.mu.Lock()
		waiting = r.inFlight.locks["evt_1"].users
		r.inFlight.mu.Unlock()
	}
	close(arrived)
	copies.Wait()
	require.Equal(t, 1, d.effects(t))
	require.Empty(t, r.inFlight.locks)
}

func handlesSideBySide(t *testing.T, d database) {
	t.Helper()
	r := d.receiver(t, Config{}, func(ctx context.Context, tx *sql.Tx, m Message) error { return d.work(ctx, tx, m.ID) })
	var messages sync.WaitGroup
	for i := range 100 {
		messages.Go(func() {
			result := r.Handle(t.Context(), Message{ID: fmt.Sprint("evt_", i)})
			assert.Equal(t, Result{Outcome: Accepted}, result)
		})
	}
	messages.Wait()
	require.Equal(t, 100, d.effects(t))
}

func createsTableOnce(t *testing.T, d database) {
	t.Helper()
	_, err := d.ExecContext(t.Context(), `DROP TABLE receiver_marks`)
	require.NoError(t, err)
	var processes sync.WaitGroup
	for range 8 {
		processes.Go(func() { assert.NoError(t, d.store("billing").CreateTable(t.Context())) })
	}
	processes.Wait()
	require.Zero(t, d.marks(t))
}
