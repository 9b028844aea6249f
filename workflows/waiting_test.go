package workflows_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// newWaitingEnv has an endpoint for which no permit comes until the delivery is dequeued.
func newWaitingEnv(t *testing.T, answers ...postdate.Attempt) *deliverEnv {
	t.Helper()
	e := newDeliverEnv(t, answers...)
	e.directory.set(postdate.Enabled)
	e.engine.busy = true
	return e
}

// signal sends a signal after a while.
func (e *deliverEnv) signal(after time.Duration, name string) {
	e.RegisterDelayedCallback(func() { e.SignalWorkflow(name, nil) }, after)
}

func TestDeliver_WaitsInLineUntilItIsCalled(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.signal(time.Minute, protocol.SignalRelease)
	e.deliver(0, toEndpoint)
	require.Len(t, e.requireDelivered(), 1, "that there was no turn is no attempt")
	require.Equal(t, []time.Duration{time.Minute}, e.times())
	require.Len(t, e.engine.queued, 1)
	require.Equal(t, "evt_1.ep_1", e.engine.queued[0].Entry.DeliveryID)
	require.Nil(t, e.engine.queued[0].Entry.Message, "it has an execution of its own")
	require.Empty(t, e.engine.queued[0].Line)
}

func TestDeliver_AsksForItsLineAgainNowAndThen(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.signal(90*time.Minute, protocol.SignalRelease)
	e.deliver(0, toEndpoint)
	e.requireDelivered()
	require.Len(t, e.engine.queued, 2)
	require.Equal(t, "line_1", e.engine.queued[1].Line, "it stays there, if that is still there")
}

func TestDeliver_WaitsInLineBetweenTwoAttempts(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t, failed(500), failed(503))
	e.engine.busy = false
	e.RegisterDelayedCallback(func() { e.engine.setBusy(true) }, time.Second)
	e.signal(24*time.Hour, protocol.SignalRelease)
	e.RegisterDelayedCallback(func() { e.engine.setBusy(false) }, 24*time.Hour+time.Second)
	e.deliver(0, toEndpoint, func(in *protocol.DeliverInput) {
		in.Retry = postdate.Retry{Initial: in.Retry.Schedule[0], MaxDuration: postdate.Duration(time.Minute), Jitter: in.Retry.Jitter}.WithDefaults()
	})
	require.Len(t, e.requireDelivered(), 3, "the time in line does not count as retrying")
	require.Equal(t, 24*time.Hour, e.times()[1])
}

func TestDeliver_CancelWhileItWaitsInLine(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	cancel := e.update(time.Minute, protocol.UpdateCancel)
	e.deliver(0, toEndpoint)
	require.Equal(t, postdate.Cancelled, cancel.result.State)
	requireCancelled(t, e, 0)
	require.Empty(t, e.sent)
}

func TestDeliver_FireWhileItWaitsInLine(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.update(time.Minute, protocol.UpdateFire)
	e.deliver(0, toEndpoint)
	e.requireDelivered()
	require.Equal(t, []time.Duration{time.Minute}, e.times())
}

func TestDeliver_RescheduleWhileItWaitsInLine(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.update(time.Minute, protocol.UpdateReschedule, postdate.Change{DueAt: new(start.Add(year))})
	e.deliver(0, toEndpoint)
	_, delay := e.requireContinued()
	require.Equal(t, year-time.Minute, delay)
}

func TestDeliver_ExpiresWhileItWaitsInLine(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.deliver(0, toEndpoint, expires(30*time.Minute))
	reason, log := e.requireEnded(postdate.Expired)
	require.Equal(t, "expired at 2026-11-21T09:30:00Z, while it waited for its turn", reason)
	require.Empty(t, log)
}

func TestDeliver_IsCancelledWhereANewerMessageTookItsPlace(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.signal(time.Minute, protocol.SignalSuperseded)
	e.deliver(0, toEndpoint)
	canceled, ok := errors.AsType[*temporal.CanceledError](e.GetWorkflowError())
	require.True(t, ok, "%v", e.GetWorkflowError())
	var result protocol.DeliverResult
	require.NoError(t, canceled.Details(&result))
	require.Equal(t, "a newer message took its place", result.Reason)
}

func TestDeliver_GoesInAnotherLineOnceItsOwnHasCalledIt(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t, failed(503))
	e.signal(time.Minute, protocol.SignalRelease)
	e.signal(30*time.Minute, protocol.SignalRelease)
	e.deliver(0, toEndpoint)
	require.Len(t, e.requireDelivered(), 2)
	require.Len(t, e.engine.queued, 2)
	require.Empty(t, e.engine.queued[1].Line, "the one that called it does not call it again")
}

func TestDeliver_KeepsItsPlaceInLineWhereItIsChanged(t *testing.T) {
	t.Parallel()
	changed := newWaitingEnv(t)
	changed.update(time.Minute, protocol.UpdateReschedule, postdate.Change{Data: []byte(`{"amount":2}`)})
	changed.deliver(0, toEndpoint)
	next, _ := changed.requireContinued()
	require.Equal(t, "line_1", next.Line)

	e := newWaitingEnv(t)
	e.engine.busy = false // the place in line is kept even so
	e.SetStartTime(start.Add(time.Minute))
	e.signal(time.Minute, protocol.SignalRelease)
	e.deliver(0, func(in *protocol.DeliverInput) { *in = next })
	require.Len(t, e.requireDelivered(), 1)
	require.Equal(t, []time.Duration{2 * time.Minute}, e.times())
	require.Len(t, e.engine.queued, 1)
	require.Equal(t, "line_1", e.engine.queued[0].Line, "it stays in the line that knows it")
	require.JSONEq(t, `{"amount":2}`, string(e.sent[0].message.Data))
}

func TestDeliver_IsCalledWhileItSleepsUntilAnotherTime(t *testing.T) {
	t.Parallel()
	e := newWaitingEnv(t)
	e.signal(time.Minute, protocol.SignalRelease)
	e.deliver(time.Hour, toEndpoint, func(in *protocol.DeliverInput) { in.Line = "line_1" })
	require.Len(t, e.requireDelivered(), 1)
	require.Equal(t, []time.Duration{time.Hour}, e.times())
	require.Empty(t, e.engine.queued, "no other line would call it while it is sent")
}
