package workflows_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// newRefusedEnv has a bare url for which so many requests for a permit are refused, each for 40 s.
func newRefusedEnv(t *testing.T, refusals int, answers ...postdate.Attempt) *deliverEnv {
	t.Helper()
	e := newDeliverEnv(t, answers...)
	e.engine.refusals = refusals
	return e
}

func TestDeliver_AsksForAPermitAgain(t *testing.T) {
	t.Parallel()
	e := newRefusedEnv(t, 3)
	e.SetOnActivityStartedListener(func(info *activity.Info, _ context.Context, _ converter.EncodedValues) {
		require.NotEqual(t, protocol.RetryActivity, info.ActivityType.Name, "a timer suffices")
	})
	e.deliver(0)
	require.Len(t, e.requireDelivered(), 1, "what was refused is no attempt")
	require.Equal(t, []time.Duration{2 * time.Minute}, e.times())
}

func TestDeliver_TheTimeWithoutAPermitIsNoRetrying(t *testing.T) {
	t.Parallel()
	e := newRefusedEnv(t, 5, failed(503))
	e.deliver(0, func(in *protocol.DeliverInput) {
		in.Retry = postdate.Retry{Initial: in.Retry.Schedule[0], MaxDuration: postdate.Duration(time.Minute), Jitter: in.Retry.Jitter}.WithDefaults()
	})
	require.Len(t, e.requireDelivered(), 2)
}

func TestDeliver_ChangesWhileItHasNoPermit(t *testing.T) {
	t.Parallel()
	cancelled := newRefusedEnv(t, 1)
	cancel := cancelled.update(10*time.Second, protocol.UpdateCancel)
	cancelled.deliver(0)
	require.Equal(t, postdate.Cancelled, cancel.result.State)
	requireCancelled(t, cancelled, 0)
	require.Empty(t, cancelled.sent)

	fired := newRefusedEnv(t, 1)
	fired.update(10*time.Second, protocol.UpdateFire)
	fired.deliver(0)
	fired.requireDelivered()
	require.Equal(t, []time.Duration{10 * time.Second}, fired.times())

	moved := newRefusedEnv(t, 1)
	moved.update(10*time.Second, protocol.UpdateReschedule, postdate.Change{DueAt: new(start.Add(year))})
	moved.deliver(0)
	_, delay := moved.requireContinued()
	require.Equal(t, year-10*time.Second, delay)
}

func TestDeliver_ExpiresWhileItHasNoPermit(t *testing.T) {
	t.Parallel()
	e := newRefusedEnv(t, 9)
	e.deliver(0, expires(time.Minute))
	reason, log := e.requireEnded(postdate.Expired)
	require.Equal(t, "expired at 2026-11-21T09:01:00Z, while its receiver had as many attempts as it may", reason)
	require.Empty(t, log)
}
