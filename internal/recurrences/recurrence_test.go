package recurrences_test

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
)

func accept(t *testing.T) deliverytest.Receiver {
	t.Helper()
	return deliverytest.Answering(http.StatusOK)
}

func TestRecurrence_SendsEachTickOnceAndEndsAtItsLimit(t *testing.T) {
	t.Parallel()
	s := recur(t, `{"every":"1s","limit":3}`, accept(t))
	first := s.get()
	require.Equal(t, postdate.Scheduled, first.State)
	require.Len(t, first.Next, 3)
	ended := s.becomesState(postdate.RecurrenceEnded)
	assert.Empty(t, ended.Next)
	assert.Equal(t, 3, ended.Passed)
	require.Len(t, ended.Last, 3)

	s.Becomes(ended.Last[0].DeliveryID, postdate.Delivered)
	got := s.messages()
	require.Len(t, got, 3)
	for i, m := range got {
		due := first.Next[i].DueAt
		assert.Equal(t, postdate.TickID("report", due), m.ID)
		assert.Equal(t, &postdate.TickRef{Schedule: "report", Number: i + 1, NominalTime: due}, m.Tick)
		assert.Equal(t, due, m.Timestamp)
		assert.JSONEq(t, `{"a":1}`, string(m.Data))
	}
	assert.Equal(t, ended.Last, s.get().Last, "it can be read after its end")
	assert.False(t, ended.EndedAt.IsZero())
}

func TestCreate_FindsItsIDTaken(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	_, err := s.Recurrences.Create(t.Context(), s.input(rule(t, daily())))
	require.ErrorIs(t, err, executions.ErrExists)

	_, err = s.Schedule("once", time.Now().Add(time.Hour), time.Time{})
	require.NoError(t, err)
	in := s.input(rule(t, daily()))
	in.ID = "once"
	_, err = s.Recurrences.Create(t.Context(), in)
	require.ErrorIs(t, err, executions.ErrExists)
}

func TestPause_LetsTicksPassUntilItIsResumed(t *testing.T) {
	t.Parallel()
	s := recur(t, `{"every":"1s"}`, accept(t))
	require.NoError(t, s.Recurrences.Pause(t.Context(), s.Name, s.id, postdate.Pause{Note: "holiday"}))
	paused := s.get()
	assert.Equal(t, postdate.RecurrencePaused, paused.State)
	assert.Equal(t, "holiday", paused.Reason)
	assert.Empty(t, paused.Next)
	sent := len(s.messages())
	since := time.Now()
	s.waitUntil(since.Add(2500 * time.Millisecond))

	require.NoError(t, s.Recurrences.Resume(t.Context(), s.Name, s.id))
	resumed := s.becomes(func(r postdate.RecurringSchedule) bool { return len(s.messages()) > sent })
	assert.Equal(t, postdate.Scheduled, resumed.State)
	assert.Contains(t, outcomes(resumed.Last), postdate.TickPaused)
	for _, m := range s.messages()[sent:] {
		assert.True(t, m.Tick.NominalTime.After(since.Add(time.Second)), "%s is before it was resumed", m.Tick.NominalTime)
	}
	require.NoError(t, s.Recurrences.Cancel(t.Context(), s.Name, s.id))
}

func TestPause_EndsByItself(t *testing.T) {
	t.Parallel()
	s := recur(t, `{"every":"1s","limit":100}`, accept(t))
	until := time.Now().Add(3 * time.Second)
	require.NoError(t, s.Recurrences.Pause(t.Context(), s.Name, s.id, postdate.Pause{Until: until}))
	paused := s.get()
	require.NotEmpty(t, paused.Next)
	assert.False(t, paused.Next[0].DueAt.Before(until))
	resumed := s.becomes(func(r postdate.RecurringSchedule) bool { return r.State == postdate.Scheduled && len(s.messages()) > 1 })
	assert.Contains(t, outcomes(resumed.Last), postdate.TickPaused)
	require.NoError(t, s.Recurrences.Cancel(t.Context(), s.Name, s.id))
}

func TestSkip_LeavesTheNextTickOut(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	before := s.get()
	require.NoError(t, s.Recurrences.Skip(t.Context(), s.Name, s.id))
	after := s.becomes(func(r postdate.RecurringSchedule) bool { return len(r.Last) == 1 })
	assert.Equal(t, before.Next[1].DueAt, after.Next[0].DueAt)
	assert.Equal(t, 2, after.Next[0].Number)
	assert.Equal(t, postdate.TickSkipped, after.Last[0].Outcome)
}

func TestFire_SendsAnExtraOne(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	before := s.get()
	for n := 1; n <= 2; n++ {
		record, err := s.Recurrences.FireNow(t.Context(), s.Name, s.id)
		require.NoError(t, err)
		assert.Equal(t, postdate.FiredID("report", n), record.DeliveryID)
		s.Becomes(record.DeliveryID, postdate.Delivered)
	}
	after := s.get()
	assert.Equal(t, before.Next, after.Next)
	require.Len(t, after.Last, 2)
	assert.Equal(t, postdate.Delivered, after.Last[0].State)
	assert.Zero(t, s.messages()[0].Tick.Number)
}

func TestBackfill_SendsWhatARangeLacks(t *testing.T) {
	t.Parallel()
	start := time.Now().UTC().Truncate(time.Hour).Add(-10 * time.Hour)
	s := recur(t, `{"every":"1h","start_at":"`+start.Format(time.RFC3339)+`"}`, accept(t))
	require.Len(t, s.get().Next, 10)
	of := protocol.Backfill{From: start.Add(time.Minute), To: start.Add(3 * time.Hour)}
	done, err := s.Recurrences.BackfillRange(t.Context(), s.Name, s.id, of)
	require.NoError(t, err)
	assert.Equal(t, []string{
		postdate.TickID("report", start.Add(time.Hour)), postdate.TickID("report", start.Add(2*time.Hour)), postdate.TickID("report", start.Add(3*time.Hour)),
	}, done.Started)
	for _, id := range done.Started {
		s.Becomes(id, postdate.Delivered)
	}
	of.To = of.To.Add(time.Hour)
	done, err = s.Recurrences.BackfillRange(t.Context(), s.Name, s.id, of)
	require.NoError(t, err)
	assert.Len(t, done.Started, 1)
	assert.Equal(t, 3, done.Found)

	of.To = time.Now().Add(time.Hour)
	_, err = s.Recurrences.BackfillRange(t.Context(), s.Name, s.id, of)
	assert.Equal(t, postdate.Invalid, postdate.CodeOf(err))
}

func TestPatch_TakesEffectFromTheNextTick(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	patched, kind := rule(t, `{"every":"1s","limit":2}`), "summary"
	require.NoError(t, s.Recurrences.Patch(t.Context(), s.Name, s.id, protocol.PatchRecurrence{
		Recurrence: &patched, Data: []byte(`{"b":2}`), Type: &kind,
	}))
	began := time.Now()
	s.becomesState(postdate.RecurrenceEnded)
	got := s.messages()
	require.Len(t, got, 2)
	assert.Equal(t, "summary", got[0].Type)
	assert.JSONEq(t, `{"b":2}`, string(got[0].Data))
	assert.WithinDuration(t, began, got[0].Tick.NominalTime, 3*time.Second)
	rows := s.Listed(2, postdate.Filter{Type: "summary"})
	assert.Len(t, rows, 2)
}

func TestPatch_RefusesWhatIsNeverDue(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	never := rule(t, `{"cron":"0 9 30 2 *"}`)
	err := s.Recurrences.Patch(t.Context(), s.Name, s.id, protocol.PatchRecurrence{Recurrence: &never})
	require.Equal(t, postdate.Invalid, postdate.CodeOf(err))
}

func TestCancel_EndsItAndCanBeRepeated(t *testing.T) {
	t.Parallel()
	s := recur(t, daily(), accept(t))
	require.NoError(t, s.Recurrences.Cancel(t.Context(), s.Name, s.id))
	assert.Equal(t, postdate.Cancelled, s.get().State)
	require.NoError(t, s.Recurrences.Cancel(t.Context(), s.Name, s.id))
	err := s.Recurrences.Skip(t.Context(), s.Name, s.id)
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	err = s.Recurrences.Cancel(t.Context(), s.Name, "unknown")
	require.Equal(t, postdate.NotFound, postdate.CodeOf(err))
}

func TestTick_EndsTheRecurrenceWhereItsReceiverAsks(t *testing.T) {
	t.Parallel()
	s := recur(t, `{"every":"1s"}`, deliverytest.Stopping())
	ended := s.becomesState(postdate.RecurrenceEnded)
	assert.Contains(t, ended.Reason, "asked to stop")
	eventually.True(t, func() bool { // its delivery asks first, and ends then
		last := s.get().Last
		return last[len(last)-1].State == postdate.Delivered
	})
}

func outcomes(ticks []postdate.TickRecord) []postdate.TickOutcome {
	all := make([]postdate.TickOutcome, len(ticks))
	for i, tick := range ticks {
		all[i] = tick.Outcome
	}
	return all
}

// missedFor is a recurrence of every second that has not run for so long.
func missedFor(t *testing.T, s *schedule, rule postdate.Recurrence, seconds int) protocol.RecurrenceInput {
	t.Helper()
	in := s.input(rule)
	begin := time.Now().UTC().Truncate(time.Second).Add(-time.Duration(seconds) * time.Second)
	in.Recurrence.StartAt = &begin
	in.Passed = protocol.PassedTick{DueAt: begin}
	return in
}

func TestAdvance_CatchesUpAsItIsAsked(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		catchUp         string
		atLeast, atMost int
	}{
		"all":    {`"all"`, 9, 10},
		"within": {`{"mode":"all","within":"25m"}`, 2, 3},
		"one":    {`"one"`, 1, 2},
		"none":   {`"none"`, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &schedule{Tenant: deliverytest.New(t), id: "report"}
			s.endpoint = s.Endpoint("report", accept(t))
			in := missedFor(t, s, rule(t, `{"every":"10m","catch_up":`+c.catchUp+`}`), 101*60)
			advanced, err := s.Recurrences.Advance(t.Context(), in)
			require.NoError(t, err)
			assert.Equal(t, 10, advanced.Passed.Number)
			assert.True(t, advanced.WakeAt.After(time.Now()))
			started := 0
			for _, outcome := range outcomes(advanced.Recent) {
				if outcome == postdate.TickStarted {
					started++
				}
			}
			assert.GreaterOrEqual(t, started, c.atLeast)
			assert.LessOrEqual(t, started, c.atMost)
			again, err := s.Recurrences.Advance(t.Context(), in)
			require.NoError(t, err)
			assert.Equal(t, advanced.Recent, again.Recent, "repeated, it does the same")
		})
	}
}

func TestAdvance_CatchesUpWithThousandsInParts(t *testing.T) {
	t.Parallel()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", accept(t))
	in := missedFor(t, s, rule(t, `{"every":"1s","catch_up":"one"}`), 120_000)
	runs := 0
	for {
		runs++
		advanced, err := s.Recurrences.Advance(t.Context(), in)
		require.NoError(t, err)
		in.RecurrenceProgress = advanced.RecurrenceProgress
		if advanced.WakeAt.After(time.Now().Add(-10*time.Millisecond)) || runs > 10 {
			break
		}
	}
	assert.GreaterOrEqual(t, in.Passed.Number, 119_990)
	assert.LessOrEqual(t, runs, 10)
	assert.Nil(t, in.Missed)
}

func TestOverlap_DoesWithATickWhatItSays(t *testing.T) {
	t.Parallel()
	for policy, want := range map[postdate.Overlap]postdate.TickOutcome{
		postdate.OverlapSkip: postdate.TickOverlapped, postdate.OverlapBufferOne: postdate.TickBuffered, postdate.OverlapCancelOther: postdate.TickStarted,
	} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			// The receiver fails, so that the first tick's delivery waits for its retry.
			s := recur(t, `{"every":"3s","limit":2,"overlap":"`+string(policy)+`"}`, deliverytest.Answering(http.StatusBadGateway))
			both := s.becomes(func(r postdate.RecurringSchedule) bool { return len(r.Last) == 2 })
			assert.Equal(t, want, both.Last[0].Outcome)
			if policy == postdate.OverlapCancelOther {
				s.Becomes(both.Last[1].DeliveryID, postdate.Cancelled)
			}
			if policy != postdate.OverlapBufferOne {
				s.becomesState(postdate.RecurrenceEnded)
				return
			}
			require.NoError(t, s.CancelDelivery(t.Context(), s.Name, both.Last[1].DeliveryID))
			ended := s.becomesState(postdate.RecurrenceEnded)
			assert.Equal(t, postdate.TickStarted, ended.Last[0].Outcome, "it was sent once the earlier one had ended")
		})
	}
}

// A delivery reports its end before its execution has closed.
func TestOverlap_BufferOneBelievesTheReportOfAnEnd(t *testing.T) {
	t.Parallel()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", deliverytest.Answering(http.StatusBadGateway))
	in := missedFor(t, s, rule(t, `{"every":"1h","overlap":"buffer_one","catch_up":"all"}`), 7200)
	outcomes := func() []postdate.TickOutcome {
		advanced, err := s.Recurrences.Advance(t.Context(), in)
		require.NoError(t, err)
		in.RecurrenceProgress = advanced.RecurrenceProgress
		require.Len(t, in.Recent, 2)
		return []postdate.TickOutcome{in.Recent[0].Outcome, in.Recent[1].Outcome}
	}
	waits := []postdate.TickOutcome{postdate.TickStarted, postdate.TickBuffered}
	require.Equal(t, waits, outcomes())
	require.Equal(t, waits, outcomes(), "the first tick's delivery waits for its retry")
	in.RememberEnd(in.Recent[0].DeliveryID)
	require.Equal(t, []postdate.TickOutcome{postdate.TickStarted, postdate.TickStarted}, outcomes())
}

func TestCalendar_ThatIsGonePausesTheRecurrence(t *testing.T) {
	t.Parallel()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", accept(t))
	s.Configure(func(tenant *postdate.Tenant) { tenant.Calendars = []postdate.HolidayCalendar{{Name: "banks"}} })
	_, err := s.Recurrences.Create(t.Context(), s.input(rule(t, `{"every":"3s","except":"banks"}`)))
	require.NoError(t, err)
	s.Configure(func(tenant *postdate.Tenant) { tenant.Calendars = nil })
	paused := s.becomesState(postdate.RecurrencePaused)
	assert.Contains(t, paused.Reason, `no holiday calendar "banks"`)
}

func TestRecurrence_OutlivesAThousandTicksWithoutGrowing(t *testing.T) {
	t.Parallel()
	const ticks = 1000
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	s.endpoint = s.Endpoint("report", func(ctx context.Context, m postdate.Message) postdate.Attempt {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.received = append(s.received, m)
		return deliverytest.Attempt(http.StatusOK)
	})
	// Nothing ran for a week, and all of it is made up for.
	in := missedFor(t, s, rule(t, `{"every":"10m","limit":1000}`), 7*24*60*60)
	started, err := deliverytest.Temporal.ExecuteWorkflow(t.Context(), protocol.RecurrenceOptions(in, time.Now()), protocol.RecurrenceWorkflow, in)
	require.NoError(t, err)
	eventually.True(t, func() bool { return s.get().State == postdate.RecurrenceEnded })
	ended := s.get()
	assert.Equal(t, ticks, ended.Passed)
	assert.Len(t, ended.Last, postdate.ShownTicks)

	last := historytest.Of(t, deliverytest.Temporal, started.GetID(), "")
	assert.Less(t, len(last.GetEvents()), 20)
	assert.Less(t, proto.Size(last), 20_000)
	eventually.True(t, func() bool { return len(s.messages()) == ticks })
	numbers := make(map[int]bool)
	for _, m := range s.messages() {
		numbers[m.Tick.Number] = true
	}
	assert.Len(t, numbers, ticks, "none is skipped, and none sent twice")
}

func TestAdvance_WorksOutItsTickAgainBeforeItIsDue(t *testing.T) {
	t.Parallel()
	s := &schedule{Tenant: deliverytest.New(t), id: "report"}
	zone, err := time.LoadLocation("America/Sao_Paulo")
	require.NoError(t, err)
	now := time.Now().UTC()
	due := now.In(zone).AddDate(0, 0, 10) // far enough to wake before
	due = time.Date(due.Year(), due.Month(), due.Day(), 9, 0, 0, 0, zone)
	in := s.input(rule(t, fmt.Sprintf(`{"cron":"0 9 %d %d *","time_zone":"America/Sao_Paulo"}`, due.Day(), due.Month())))
	in.Passed = protocol.PassedTick{DueAt: now}
	advanced, err := s.Recurrences.Advance(t.Context(), in)
	require.NoError(t, err)
	assert.Zero(t, advanced.Passed.Number, "nothing is due yet")
	assert.True(t, protocol.WakeAt(due, now).Equal(advanced.WakeAt), advanced.WakeAt)
}
