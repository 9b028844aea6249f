package workflows_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

var dataConverter = converter.GetDefaultDataConverter()

const year = 365 * 24 * time.Hour

func TestDeliver_SleepsForThreeYears(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.deliver(3 * year)
	require.Len(t, e.requireDelivered(), 1)
	require.Equal(t, []time.Duration{3 * year}, e.times())
	require.JSONEq(t, `{"amount":1}`, string(e.sent[0].message.Data))
}

func TestDeliver_StopsAtTheFirst2xx(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	e.deliver(0)
	log := e.requireDelivered()
	require.Equal(t, []time.Duration{0, 5 * time.Second, 5*time.Minute + 5*time.Second}, e.times())
	require.Len(t, log, 3)
	for i, attempt := range log {
		require.Equal(t, i+1, attempt.Number)
	}
	require.Equal(t, []int{500, 503, 200}, []int{log[0].Status, log[1].Status, log[2].Status})
}

func TestDeliver_DiesWhenEveryAttemptFailed(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(500),
		postdate.Attempt{Outcome: postdate.Failed, Status: 503, Response: "down for repairs"})
	e.deliver(0)
	reason, log := e.requireEnded(postdate.Dead)
	require.Equal(t, "gave up after 3 attempts: HTTP 503 Service Unavailable: down for repairs", reason)
	require.Len(t, log, 3)
}

func TestDeliver_DiesAtOnceWhereTheReceiverSaysSo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answer postdate.Attempt
		reason string
	}{
		"abort": {postdate.Attempt{Outcome: postdate.Aborted, Status: 400}, "the receiver asked to stop: HTTP 400 Bad Request"},
		"gone":  {postdate.Attempt{Outcome: postdate.Gone, Status: 410}, "the receiver is gone: HTTP 410 Gone"},
	} {
		t.Run(name+" at first", func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t, test.answer)
			e.deliver(0)
			reason, log := e.requireEnded(postdate.Dead)
			require.Equal(t, test.reason, reason)
			require.Len(t, log, 1)
		})
		t.Run(name+" on a retry", func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t, failed(500), test.answer)
			e.deliver(0)
			reason, log := e.requireEnded(postdate.Dead)
			require.Equal(t, test.reason, reason)
			require.Len(t, log, 2)
		})
	}
}

func TestDeliver_ObeysRetryAfter(t *testing.T) {
	t.Parallel()
	busy := failed(429)
	busy.RetryAfter = postdate.Duration(time.Hour)
	e := newDeliverEnv(t, busy)
	e.deliver(0)
	e.requireDelivered()
	require.Equal(t, []time.Duration{0, time.Hour}, e.times())
}

func TestDeliver_RetriesAGrowingSeriesWithinItsTime(t *testing.T) {
	t.Parallel()
	var answers []postdate.Attempt
	for range 10 {
		answers = append(answers, failed(500))
	}
	e := newDeliverEnv(t, answers...)
	exact := 0.0
	e.deliver(0, func(in *protocol.DeliverInput) {
		in.Retry = postdate.Retry{
			Initial: postdate.Duration(10 * time.Second), MaxDuration: postdate.Duration(2 * time.Minute), Jitter: &exact,
		}.WithDefaults()
	})
	reason, _ := e.requireEnded(postdate.Dead)
	require.Equal(t, []time.Duration{0, 10 * time.Second, 30 * time.Second, 70 * time.Second}, e.times())
	require.Contains(t, reason, "gave up after 4 attempts in 1m10s")
}

func TestDeliver_ExpiresRatherThanTryTooLate(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(500))
	e.deliver(0, func(in *protocol.DeliverInput) { in.ExpiresAt = start.Add(time.Minute) })
	reason, log := e.requireEnded(postdate.Expired)
	require.Contains(t, reason, "expires at 2026-11-21T09:01:00Z, before another attempt")
	require.Len(t, log, 2)
}

func TestDeliver_ExpiresBeforeAnyAttemptWhereItWasHeldUp(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.deliver(-time.Hour, func(in *protocol.DeliverInput) { in.ExpiresAt = start.Add(-time.Minute) })
	_, log := e.requireEnded(postdate.Expired)
	require.Empty(t, log)
	require.Empty(t, e.sent)
}

func TestDeliver_SleepsAgainWhereTheReceiverAsks(t *testing.T) {
	t.Parallel()
	again := start.Add(30 * 24 * time.Hour)
	for name, before := range map[string][]postdate.Attempt{"at first": nil, "on a retry": {failed(500)}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t, append(before, postdate.Attempt{
				Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: again,
			})...)
			e.deliver(time.Hour)
			in, delay := e.requireContinued()
			require.Equal(t, again, in.Shipment.DueAt)
			require.Equal(t, again, in.Shipment.Message.Timestamp)
			require.WithinDuration(t, again, e.Now().Add(delay), time.Second)
			require.Len(t, in.Attempts, 1, "a cycle that goes on for years must not grow")
			require.Equal(t, len(before)+1, in.Attempts[0].Number)
		})
	}
}

func TestDeliver_IsOverWhereTheReceiverAsksForATimeAfterItExpires(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: start.Add(2 * time.Hour)})
	e.deliver(0, func(in *protocol.DeliverInput) { in.ExpiresAt = start.Add(time.Hour) })
	require.Len(t, e.requireDelivered(), 1)
}

func TestDeliver_StartsAFreshRoundAfterEarlierAttempts(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(500), failed(500))
	e.deliver(0, func(in *protocol.DeliverInput) {
		in.Attempts = postdate.Attempts{}.Append(failed(404)).Append(failed(404))
	})
	reason, log := e.requireEnded(postdate.Dead)
	require.Contains(t, reason, "gave up after 3 attempts")
	require.Len(t, log, 5)
	require.Equal(t, 5, log.Last().Number)
}

func TestDeliver_CancelBeforeItIsDue(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	cancel := e.update(time.Hour, protocol.UpdateCancel)
	e.deliver(3 * year)
	require.Equal(t, postdate.Cancelled, cancel.result.State)
	requireCancelled(t, e, 0)
	require.Empty(t, e.sent)
}

func TestDeliver_CancelDuringABackoffKeepsTheAttempts(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	cancel := e.update(time.Minute, protocol.UpdateCancel)
	e.deliver(0)
	require.Equal(t, postdate.Cancelled, cancel.result.State)
	requireCancelled(t, e, 2)
}

func TestDeliver_CancelTwiceIsAnsweredAlike(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	first := e.update(time.Minute, protocol.UpdateCancel)
	second := e.update(time.Minute, protocol.UpdateCancel)
	e.deliver(0)
	require.Equal(t, first.result, second.result)
	require.Equal(t, postdate.Cancelled, second.result.State)
}

func TestDeliver_CancelByTheEngineItself(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.RegisterDelayedCallback(e.CancelWorkflow, time.Hour)
	e.deliver(year)
	requireCancelled(t, e, 0)
}

func TestDeliver_CancelLosesToAnAttemptThatIsAccepted(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	var cancel answer
	cancel.t = t
	e.during = func(int) { e.UpdateWorkflow(protocol.UpdateCancel, "", &cancel) }
	e.deliver(0)
	require.Len(t, e.requireDelivered(), 1)
	require.True(t, cancel.done)
	require.Equal(t, postdate.Errorf(postdate.Conflict, "", "already delivered"), cancel.refusal)
}

func TestDeliver_RescheduleEarlierAndLater(t *testing.T) {
	t.Parallel()
	for name, due := range map[string]time.Duration{"earlier": 2 * time.Hour, "later": 5 * year} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t)
			moved := e.update(time.Hour, protocol.UpdateReschedule, postdate.Change{
				DueAt: new(start.Add(due)), Data: json.RawMessage(`{"amount":2}`),
			})
			e.deliver(year)
			require.Equal(t, protocol.UpdateResult{State: postdate.Scheduled, DueAt: start.Add(due)}, moved.result)
			in, delay := e.requireContinued()
			require.Equal(t, start.Add(due), in.Shipment.DueAt)
			require.Equal(t, due-time.Hour, delay)
			require.JSONEq(t, `{"amount":2}`, string(in.Shipment.Message.Data))
			require.Empty(t, e.sent)
		})
	}
}

func TestDeliver_RescheduleDuringABackoffKeepsTheAttempts(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	e.update(time.Minute, protocol.UpdateReschedule, postdate.Change{DueAt: new(start.Add(24 * time.Hour))})
	e.deliver(0)
	in, _ := e.requireContinued()
	require.Len(t, in.Attempts, 2)
}

func TestDeliver_RefusesAChangeThatBreaksARule(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change  postdate.Change
		refusal *postdate.Error
	}{
		"after it expires": {
			postdate.Change{DueAt: new(start.Add(2 * year))},
			postdate.Errorf(postdate.Invalid, "/expires_at", "expires before it is due (2028-11-20T09:00:00Z)"),
		},
		"nothing": {postdate.Change{}, postdate.Errorf(postdate.Invalid, "", "nothing to change: give due_at, data or both")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t)
			moved := e.update(time.Minute, protocol.UpdateReschedule, test.change)
			e.deliver(time.Hour, func(in *protocol.DeliverInput) { in.ExpiresAt = start.Add(year) })
			require.Equal(t, test.refusal, moved.refusal)
			require.Len(t, e.requireDelivered(), 1)
		})
	}
}

func TestDeliver_RefusesOtherDataOnceAnAttemptWasMade(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500))
	moved := e.update(2*time.Second, protocol.UpdateReschedule, postdate.Change{Data: json.RawMessage(`{}`)})
	e.deliver(0)
	require.Equal(t, postdate.Conflict, moved.refusal.Code)
	require.Equal(t, "/data", moved.refusal.Pointer)
	require.Len(t, e.requireDelivered(), 2)
}

func TestDeliver_FireSendsAtOnce(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	fired := e.update(time.Hour, protocol.UpdateFire)
	e.deliver(year)
	require.Equal(t, postdate.Sending, fired.result.State)
	require.Len(t, e.requireDelivered(), 1)
	require.Equal(t, []time.Duration{time.Hour}, e.times())
}

func TestDeliver_FireDuringABackoffSendsAtOnce(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	e.update(time.Minute, protocol.UpdateFire)
	e.deliver(0)
	log := e.requireDelivered()
	require.Equal(t, []time.Duration{0, 5 * time.Second, time.Minute}, e.times())
	require.Len(t, log, 3)
	require.Equal(t, 3, log.Last().Number)
}

// requireCancelled holds that e ended cancelled, with that many attempts made.
func requireCancelled(t *testing.T, e *deliverEnv, attempts int) {
	t.Helper()
	canceled, ok := errors.AsType[*temporal.CanceledError](e.GetWorkflowError())
	require.True(t, ok, "%v", e.GetWorkflowError())
	var result protocol.DeliverResult
	require.NoError(t, canceled.Details(&result))
	require.Len(t, result.Attempts, attempts)
}

func TestDeliver_HeedsAWishRatherThanTheReceiversTime(t *testing.T) {
	t.Parallel()
	asksForAYear := postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: start.Add(year)}
	during := func(e *deliverEnv, name string, args ...any) *answer {
		got := &answer{t: t}
		e.during = func(int) { e.UpdateWorkflow(name, "", got, args...) }
		return got
	}

	cancelled := newDeliverEnv(t, failed(500), asksForAYear)
	cancelled.RegisterDelayedCallback(func() { during(cancelled, protocol.UpdateCancel) }, time.Second)
	cancelled.deliver(0)
	requireCancelled(t, cancelled, 2)

	moved := newDeliverEnv(t, failed(500), asksForAYear)
	moved.RegisterDelayedCallback(func() {
		during(moved, protocol.UpdateReschedule, postdate.Change{DueAt: new(start.Add(time.Hour))})
	}, time.Second)
	moved.deliver(0)
	in, _ := moved.requireContinued()
	require.Equal(t, start.Add(time.Hour), in.Shipment.DueAt)
}

func TestDeliver_KeepsItsDataOnceAnAttemptIsUnderWay(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500))
	e.RegisterDelayedCallback(func() {
		e.UpdateWorkflow(protocol.UpdateReschedule, "", &answer{t: t}, postdate.Change{Data: []byte(`{"amount":2}`)})
	}, time.Second)
	e.deliver(0)
	for _, each := range e.sent {
		require.JSONEq(t, `{"amount":1}`, string(each.message.Data))
	}
}
