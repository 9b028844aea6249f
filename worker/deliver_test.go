package worker_test

import (
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

func answers(outcome postdate.Outcome, status int) func(int) postdate.Attempt {
	return func(int) postdate.Attempt { return postdate.Attempt{Outcome: outcome, Status: status} }
}

func TestDelivered(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Accepted, 204))
	status, err := d.end()
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, status)
	record(t, d)
}

func TestDeliveredWhenDue(t *testing.T) {
	t.Parallel()
	d := deliver(t, 1200*time.Millisecond, answers(postdate.Accepted, 204))
	_, err := d.end()
	require.NoError(t, err)
	record(t, d)
}

func TestDeliveredOnARetry(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n == 1 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
		}
		return postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
	})
	_, err := d.end()
	require.NoError(t, err)
	var result protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &result))
	require.Len(t, result.Attempts, 2)
	record(t, d)
}

func TestDead(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Failed, 500), func(in *protocol.DeliverInput) {
		in.Retry.Schedule = in.Retry.Schedule[:1]
	})
	status, err := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, status)
	state, reason, log := protocol.DecodeEnd(err, nil)
	require.Equal(t, postdate.Dead, state)
	require.Equal(t, "gave up after 2 attempts: HTTP 500 Internal Server Error", reason)
	require.Len(t, log, 2)
	record(t, d)
}

func TestDeadWhenGone(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Gone, 410))
	status, _ := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, status)
	record(t, d)
}

func TestExpired(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Failed, 500), func(in *protocol.DeliverInput) {
		in.ExpiresAt = in.Shipment.DueAt.Add(time.Minute)
	})
	status, err := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, status)
	state, _, log := protocol.DecodeEnd(err, nil)
	require.Equal(t, postdate.Expired, state)
	require.Len(t, log, 2)
	record(t, d)
}

func TestCancelledWhileAsleep(t *testing.T) {
	t.Parallel()
	d := deliver(t, 50*365*24*time.Hour, answers(postdate.Accepted, 200))
	result, err := d.update(protocol.UpdateCancel)
	require.NoError(t, err)
	require.Equal(t, postdate.Cancelled, result.State)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, d.status())
	_, err = d.update(protocol.UpdateCancel)
	require.ErrorContains(t, err, "workflow execution already completed")
	record(t, d)
}

func TestCancelledByTheEngine(t *testing.T) {
	t.Parallel()
	d := deliver(t, time.Hour, answers(postdate.Accepted, 200))
	require.NoError(t, engineClient.CancelWorkflow(t.Context(), d.run.GetID(), ""))
	status, _ := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, status)
	record(t, d)
}

func TestCancelledDuringABackoff(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Failed, 500))
	d.backoff(2)
	_, err := d.update(protocol.UpdateCancel)
	require.NoError(t, err)
	requireCancelled(t, d, 2)
	record(t, d)
}

func TestCancelledDuringAnAttemptThatFails(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n == 2 {
			<-hold
		}
		return postdate.Attempt{Outcome: postdate.Failed, Status: 500}
	})
	<-d.arrived
	<-d.arrived
	cancelled := make(chan error, 1)
	go func() {
		_, err := d.update(protocol.UpdateCancel)
		cancelled <- err
	}()
	d.awaitCancelRequest()
	close(hold)
	require.NoError(t, <-cancelled)
	requireCancelled(t, d, 2)
	record(t, d)
}

func TestDeliveredThoughCancelledDuringTheAttempt(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n == 1 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 500}
		}
		<-hold
		return postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
	})
	<-d.arrived
	<-d.arrived
	cancelled := make(chan error, 1)
	go func() {
		_, err := d.update(protocol.UpdateCancel)
		cancelled <- err
	}()
	d.awaitCancelRequest()
	close(hold)
	refusal, ok := protocol.DecodeError(<-cancelled)
	require.True(t, ok)
	require.Equal(t, postdate.Errorf(postdate.Conflict, "", "already delivered"), refusal)
	status, _ := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, status)
	record(t, d)
}

func TestRescheduledWhileAsleep(t *testing.T) {
	t.Parallel()
	d := deliver(t, time.Hour, answers(postdate.Accepted, 200))
	later := time.Now().UTC().Add(365 * 24 * time.Hour)
	result, err := d.update(protocol.UpdateReschedule, postdate.Change{DueAt: &later})
	require.NoError(t, err)
	require.Equal(t, protocol.UpdateResult{State: postdate.Scheduled, DueAt: later}, result)
	d.requireAsleepUntil(later)
	record(t, d)

	result, err = d.update(protocol.UpdateReschedule, postdate.Change{DueAt: new(time.Now().Add(-time.Second))})
	require.NoError(t, err)
	require.Equal(t, postdate.Scheduled, result.State)
	status, err := d.end()
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, status)
}

func TestRescheduledDuringABackoff(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Failed, 500))
	d.backoff(2)
	later := time.Now().UTC().Add(24 * time.Hour)
	_, err := d.update(protocol.UpdateReschedule, postdate.Change{DueAt: &later})
	require.NoError(t, err)
	d.requireAsleepUntil(later)
	record(t, d)
}

func TestRescheduledByTheReceiver(t *testing.T) {
	t.Parallel()
	again := time.Now().UTC().Add(30 * 24 * time.Hour)
	d := deliver(t, 0, func(int) postdate.Attempt {
		return postdate.Attempt{Outcome: postdate.Rescheduled, Status: 200, RescheduleTo: again}
	})
	require.Equal(t, 1, <-d.arrived)
	eventually.True(t, func() bool { return d.latestRun() != d.run.GetRunID() })
	d.requireAsleepUntil(again)
	record(t, d)
}

func TestFiredWhileAsleep(t *testing.T) {
	t.Parallel()
	d := deliver(t, 365*24*time.Hour, answers(postdate.Accepted, 200))
	result, err := d.update(protocol.UpdateFire)
	require.NoError(t, err)
	require.Equal(t, postdate.Sending, result.State)
	_, err = d.end()
	require.NoError(t, err)
	record(t, d)
}

func TestFiredDuringABackoff(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, func(n int) postdate.Attempt {
		if n < 3 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 500}
		}
		return postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
	})
	d.backoff(2)
	_, err := d.update(protocol.UpdateFire)
	require.NoError(t, err)
	_, err = d.end()
	require.NoError(t, err)
	var result protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &result))
	require.Len(t, result.Attempts, 3)
	record(t, d)
}

// requireCancelled holds that d ended cancelled, with that many attempts made.
func requireCancelled(t *testing.T, d *delivery, attempts int) protocol.DeliverResult {
	t.Helper()
	status, err := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, status)
	canceled, ok := errors.AsType[*temporal.CanceledError](err)
	require.True(t, ok, "%v", err)
	var result protocol.DeliverResult
	require.NoError(t, canceled.Details(&result))
	require.Len(t, result.Attempts, attempts)
	return result
}
