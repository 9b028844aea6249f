package recurrences_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// upcoming is a recurring schedule whose first tick is about to come, and has its delivery
// already.
type upcoming struct {
	*schedule

	due  time.Time
	tick string // the id of its delivery
}

// newUpcoming creates one. Its delivery is started half way to its tick.
func newUpcoming(t *testing.T, recurrence string, due time.Time) upcoming {
	t.Helper()
	s := &schedule{Tenant: deliverytest.New(t)}
	for n := 0; ; n++ { // one of those whose deliveries are started first
		s.id = fmt.Sprintf("report-%d", n)
		if sha256.Sum256([]byte(protocol.RecurrenceID(s.Name, s.id)))[0] > 250 {
			break
		}
	}
	s.endpoint = s.Endpoint("report", s.note(accept(t)))
	r := rule(t, recurrence)
	r.StartAt = &due
	_, err := s.Recurrences.Create(t.Context(), s.input(r))
	require.NoError(t, err)
	return upcoming{s, due, postdate.TickID(s.id, due)}
}

// change is what is done to a recurring schedule ahead of its tick, and what comes of it.
type change struct {
	rule  string
	do    func(ctx context.Context, u upcoming) error
	check func(t *testing.T, u upcoming)
}

const hourly = `{"every":"1h"}`

var otherType = "other"

var changes = map[string]change{
	"none":      {rule: hourly, do: sleeps, check: isSentWhenDue},
	"last tick": {rule: `{"every":"1h","limit":1}`, check: endsWhenDue},
	"pause": {rule: hourly, check: isWithdrawn, do: func(ctx context.Context, u upcoming) error {
		return u.Recurrences.Pause(ctx, u.Name, u.id, postdate.Pause{Note: "n"})
	}},
	"cancel": {rule: hourly, check: isWithdrawn, do: func(ctx context.Context, u upcoming) error {
		return u.Recurrences.Cancel(ctx, u.Name, u.id)
	}},
	"skip": {rule: hourly, check: isSkipped, do: func(ctx context.Context, u upcoming) error {
		return u.Recurrences.Skip(ctx, u.Name, u.id)
	}},
	"another rule": {rule: hourly, check: isWithdrawn, do: func(ctx context.Context, u upcoming) error {
		yearly := rule(u.T, `{"cron":"0 9 1 1 *"}`)
		return u.Recurrences.Patch(ctx, u.Name, u.id, protocol.PatchRecurrence{Recurrence: &yearly})
	}},
	"pause and resume": {rule: hourly, check: isSentWhenDue, do: func(ctx context.Context, u upcoming) error {
		return errors.Join(u.Recurrences.Pause(ctx, u.Name, u.id, postdate.Pause{}), u.Recurrences.Resume(ctx, u.Name, u.id))
	}},
	"another message": {rule: hourly, check: isSentChanged, do: func(ctx context.Context, u upcoming) error {
		return u.Recurrences.Patch(ctx, u.Name, u.id, protocol.PatchRecurrence{Type: &otherType})
	}},
	"withdrawn again and again": {rule: hourly, do: withdraw, check: isListedAsCancelled},
	"cancelled by its id":       {rule: hourly, do: cancelTick, check: staysCancelled},
}

// TestAhead makes all changes ahead of one moment, so that it is waited for once.
func TestAhead(t *testing.T) {
	t.Parallel()
	due := time.Now().UTC().Truncate(time.Second).Add(20 * time.Second)
	all := make(map[string]upcoming, len(changes))
	for name, change := range changes {
		all[name] = newUpcoming(t, change.rule, due)
	}
	for name, u := range all {
		eventually.True(t, func() bool {
			_, err := u.Get(t.Context(), u.Name, u.tick)
			return err == nil
		}, name)
		if do := changes[name].do; do != nil {
			require.NoError(t, do(t.Context(), u), name)
		}
		require.True(t, time.Now().Before(due), "too slow to see %s", name)
	}
	for name, u := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u.T = t
			changes[name].check(t, u)
		})
	}
}

// sleeps: a tick whose delivery sleeps has not passed.
func sleeps(ctx context.Context, u upcoming) error {
	delivery, err := u.Get(ctx, u.Name, u.tick)
	assert.Equal(u.T, postdate.Scheduled, delivery.State)
	assert.Equal(u.T, u.due, delivery.DueAt)
	read := u.get()
	assert.Zero(u.T, read.Passed)
	assert.Empty(u.T, read.Last)
	assert.Equal(u.T, u.due, read.Next[0].DueAt)
	return err
}

func isSentWhenDue(t *testing.T, u upcoming) {
	t.Helper()
	delivered := u.Becomes(u.tick, postdate.Delivered)
	assert.False(t, delivered.Attempts[0].At.Before(u.due))
	u.Listed(1, postdate.Filter{Tenant: u.Name})
	got := u.messages()
	require.Len(t, got, 1)
	assert.Equal(t, 1, got[0].Tick.Number)
	read := u.get()
	assert.Equal(t, 1, read.Passed)
	assert.Equal(t, u.tick, read.Last[0].DeliveryID)
	assert.Equal(t, u.due.Add(time.Hour), read.Next[0].DueAt)
}

func isSentChanged(t *testing.T, u upcoming) {
	t.Helper()
	isSentWhenDue(t, u)
	assert.Equal(t, otherType, u.messages()[0].Type)
}

func endsWhenDue(t *testing.T, u upcoming) {
	t.Helper()
	ended := u.becomesState(postdate.RecurrenceEnded)
	assert.False(t, ended.EndedAt.Before(u.due))
	u.Becomes(u.tick, postdate.Delivered)
	assert.Len(t, u.messages(), 1)
}

func isGone(t *testing.T, u upcoming) {
	t.Helper()
	u.waitUntil(u.due.Add(500 * time.Millisecond))
	assert.Empty(t, u.messages())
	delivery, err := u.Get(t.Context(), u.Name, u.tick)
	if err == nil { // Temporal deletes it some seconds later
		assert.Equal(t, postdate.Cancelled, delivery.State)
	}
	withdrawn, err := u.Withdraw(t.Context(), u.Name, u.tick)
	require.NoError(t, err)
	assert.True(t, withdrawn, "however often it is asked for")
}

// isListedAsCancelled: until the engine has deleted its run, which may take it minutes.
func isListedAsCancelled(t *testing.T, u upcoming) {
	t.Helper()
	isGone(t, u)
	eventually.True(t, func() bool {
		return !slices.ContainsFunc(u.Pages(postdate.Filter{Tenant: u.Name}, 10), func(row postdate.DeliverySummary) bool {
			return row.State != postdate.Cancelled
		})
	})
}

func isWithdrawn(t *testing.T, u upcoming) {
	t.Helper()
	isGone(t, u)
	for _, record := range u.get().Last { // by the time of the check it may have passed, paused
		assert.Equal(t, postdate.TickPaused, record.Outcome)
	}
}

func isSkipped(t *testing.T, u upcoming) {
	t.Helper()
	isGone(t, u)
	assert.Equal(t, postdate.TickSkipped, u.get().Last[0].Outcome)
}

func withdraw(ctx context.Context, u upcoming) error {
	for range 3 { // while its run is being deleted, and after that
		withdrawn, err := u.Withdraw(ctx, u.Name, u.tick)
		if err != nil {
			return err
		}
		assert.True(u.T, withdrawn)
	}
	return nil
}

// cancelTick cancels the delivery, which a pause then leaves as it is.
func cancelTick(ctx context.Context, u upcoming) error {
	if err := u.CancelDelivery(ctx, u.Name, u.tick); err != nil {
		return err
	}
	withdrawn, err := u.Withdraw(ctx, u.Name, u.tick)
	assert.False(u.T, withdrawn)
	return errors.Join(err, u.Recurrences.Pause(ctx, u.Name, u.id, postdate.Pause{}), u.Recurrences.Resume(ctx, u.Name, u.id))
}

func staysCancelled(t *testing.T, u upcoming) {
	t.Helper()
	u.waitUntil(u.due.Add(500 * time.Millisecond))
	assert.Empty(t, u.messages())
	read := u.becomes(func(r postdate.RecurringSchedule) bool { return r.State == postdate.Scheduled && len(r.Last) > 0 })
	assert.Equal(t, postdate.Cancelled, read.Last[0].State)
}

func TestAdvance_StartsNothingAheadThatMayTurnOutOtherwise(t *testing.T) {
	t.Parallel()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", deliverytest.Answering(http.StatusOK))
	for _, extra := range []string{`"overlap":"skip"`, `"overlap":"buffer_one"`, `"catch_up":"none"`, `"catch_up":{"mode":"all","within":"1h"}`} {
		start := time.Now().UTC().Add(time.Minute).Truncate(time.Second)
		in := s.input(rule(t, `{"every":"1h",`+extra+`}`))
		in.Recurrence.StartAt, in.Passed.DueAt = &start, start.Add(-time.Hour)
		advanced, err := s.Recurrences.Advance(t.Context(), in)
		require.NoError(t, err)
		assert.Nil(t, advanced.Ahead, extra)
		assert.Equal(t, start, advanced.WakeAt, extra)
	}
}
