package workflows_test

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// toEndpoint sends a delivery to the tenant's endpoint.
func toEndpoint(in *protocol.DeliverInput) {
	in.Shipment.DeliveryID = "evt_1.ep_1"
	in.Shipment.To = postdate.Destination{Endpoint: "ep_1"}
	in.Shipment.Timeout = 0
}

func expires(after time.Duration) func(*protocol.DeliverInput) {
	return func(in *protocol.DeliverInput) { in.ExpiresAt = start.Add(after) }
}

// enable enables the endpoint after a while, and releases the delivery.
func (e *deliverEnv) enable(after time.Duration) {
	e.RegisterDelayedCallback(func() {
		e.directory.set(postdate.Enabled)
		e.SignalWorkflow(protocol.SignalRelease, nil)
	}, after)
}

func TestDeliver_IsParkedUntilItsEndpointIsEnabled(t *testing.T) {
	t.Parallel()
	for _, state := range []postdate.EndpointState{postdate.Paused, postdate.Disabled} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t)
			e.directory.set(state)
			e.enable(10 * 24 * time.Hour)
			e.deliver(0, toEndpoint)
			require.Len(t, e.requireDelivered(), 1, "what is held is no attempt")
			require.Equal(t, []time.Duration{10 * 24 * time.Hour}, e.times())
		})
	}
}

func TestDeliver_AsksForAParkedEndpointAgainByItself(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ enabled, sent time.Duration }{
		"soon, for what was known of it may be old": {time.Second, 5 * time.Second},
		"every hour, for its release may be lost":   {time.Minute, time.Hour + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t)
			e.directory.set(postdate.Paused)
			e.RegisterDelayedCallback(func() { e.directory.set(postdate.Enabled) }, test.enabled)
			e.deliver(0, toEndpoint)
			e.requireDelivered()
			require.Equal(t, []time.Duration{test.sent}, e.times())
		})
	}
}

func TestDeliver_IsParkedBetweenTwoAttempts(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500), failed(503))
	e.directory.set(postdate.Enabled)
	e.RegisterDelayedCallback(func() { e.directory.set(postdate.Disabled) }, 2*time.Second)
	e.enable(24 * time.Hour)
	e.deliver(0, toEndpoint, func(in *protocol.DeliverInput) {
		in.Retry = postdate.Retry{Initial: in.Retry.Schedule[0], MaxDuration: postdate.Duration(time.Minute), Jitter: in.Retry.Jitter}.WithDefaults()
	})
	require.Len(t, e.requireDelivered(), 3, "the time parked does not count as retrying")
	require.Equal(t, []time.Duration{0, 24 * time.Hour, 24*time.Hour + 10*time.Second}, e.times())
}

func TestDeliver_CancelWhileParked(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Paused)
	cancel := e.update(time.Minute, protocol.UpdateCancel)
	e.deliver(0, toEndpoint)
	require.Equal(t, postdate.Cancelled, cancel.result.State)
	requireCancelled(t, e, 0)
	require.Empty(t, e.sent)
}

func TestDeliver_CancelWhileParkedBetweenTwoAttemptsKeepsTheAttempts(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500))
	e.directory.set(postdate.Enabled)
	e.RegisterDelayedCallback(func() { e.directory.set(postdate.Paused) }, time.Second)
	e.update(time.Minute, protocol.UpdateCancel)
	e.deliver(0, toEndpoint)
	requireCancelled(t, e, 1)
}

func TestDeliver_RescheduleWhileParked(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Paused)
	moved := e.update(time.Minute, protocol.UpdateReschedule, postdate.Change{
		DueAt: new(start.Add(year)), Data: json.RawMessage(`{"amount":2}`),
	})
	e.deliver(0, toEndpoint)
	require.Equal(t, protocol.UpdateResult{State: postdate.Scheduled, DueAt: start.Add(year)}, moved.result)
	in, delay := e.requireContinued()
	require.JSONEq(t, `{"amount":2}`, string(in.Shipment.Message.Data))
	require.Equal(t, year-time.Minute, delay)
}

func TestDeliver_FireWhileParkedAsksForTheEndpointAgain(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Paused)
	e.update(10*time.Minute, protocol.UpdateFire)
	e.RegisterDelayedCallback(func() { e.directory.set(postdate.Enabled) }, 15*time.Minute)
	e.update(20*time.Minute, protocol.UpdateFire)
	e.deliver(0, toEndpoint)
	e.requireDelivered()
	require.Equal(t, []time.Duration{20 * time.Minute}, e.times())
}

func TestDeliver_ExpiresWhileParked(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Paused)
	e.deliver(0, toEndpoint, expires(30*time.Minute))
	reason, log := e.requireEnded(postdate.Expired)
	require.Equal(t, "expired at 2026-11-21T09:30:00Z, while its endpoint was not enabled", reason)
	require.Empty(t, log)
	require.Equal(t, start.Add(30*time.Minute), e.Now().UTC())
}

func TestDeliver_IsCancelledWhereItsEndpointWasDeleted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		answers []postdate.Attempt
		deleted time.Duration
	}{
		"at first":   {nil, 0},
		"on a retry": {[]postdate.Attempt{failed(500)}, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newDeliverEnv(t, test.answers...)
			if test.deleted > 0 {
				e.directory.set(postdate.Enabled)
				e.RegisterDelayedCallback(func() { e.directory.tenant.Endpoints = nil }, test.deleted)
			}
			e.deliver(0, toEndpoint)
			canceled, ok := errors.AsType[*temporal.CanceledError](e.GetWorkflowError())
			require.True(t, ok, "%v", e.GetWorkflowError())
			var result protocol.DeliverResult
			require.NoError(t, canceled.Details(&result))
			require.Equal(t, "the endpoint was deleted", result.Reason)
			require.Len(t, result.Attempts, len(test.answers))
		})
	}
}

func TestDeliver_StartsAnewRatherThanGrowWhileParked(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, failed(500))
	e.directory.set(postdate.Enabled)
	e.RegisterDelayedCallback(func() { e.directory.set(postdate.Paused) }, time.Second)
	e.RegisterDelayedCallback(func() { e.SetContinueAsNewSuggested(true) }, time.Minute)
	e.deliver(0, toEndpoint)
	in, delay := e.requireContinued()
	require.Zero(t, delay)
	require.Len(t, in.Attempts, 1)
	require.Equal(t, message(0).Shipment.Message, in.Shipment.Message)
	require.Zero(t, in.Plan.Before, "the round goes on: its attempts count")

	again := newDeliverEnv(t, failed(500), failed(500), failed(500))
	again.directory.set(postdate.Enabled)
	again.deliver(0, func(next *protocol.DeliverInput) { *next = in })
	again.requireEnded(postdate.Dead)
	require.Len(t, again.times(), 2, "three in all")
}

func TestDeliver_KeepsTheTimeOfAnEventThatIsPutOff(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t, postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: start.Add(year)})
	e.directory.set(postdate.Enabled)
	e.deliver(0, toEndpoint)
	in, _ := e.requireContinued()
	require.Equal(t, start.Add(year), in.Shipment.DueAt)
	require.Equal(t, start, in.Shipment.Message.Timestamp)
}

func TestDeliver_SendsATestToAnEndpointThatIsPaused(t *testing.T) {
	t.Parallel()
	e := newDeliverEnv(t)
	e.directory.set(postdate.Paused)
	e.deliver(0, toEndpoint, func(in *protocol.DeliverInput) { in.Shipment.Test = true })
	require.Len(t, e.requireDelivered(), 1)
}
