package leaktest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	sdklog "go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate/internal/codec"
)

// TestMissingKey_BlocksAWorkflowAndDoesNotEndIt: a worker without the key of
// what slept must not fail it, nor drop what it was told. It waits for a worker
// that has the key.
func TestMissingKey_BlocksAWorkflowAndDoesNotEndIt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := start(t)
	before, without, after := e.dial(t, ringOf(t, "a")), e.dial(t, ringOf(t, "b")), e.dial(t, ringOf(t, "b", "a"))
	begin := func(c client.Client, id string) client.WorkflowRun {
		run, err := c.ExecuteWorkflow(ctx, client.StartWorkflowOptions{
			ID: id, TaskQueue: queue, WorkflowTaskTimeout: time.Second,
		}, asleep, "input")
		require.NoError(t, err)
		return run
	}
	unreadable := begin(before, "input")  // its input cannot be read
	signalled := begin(without, "signal") // a signal to it cannot be read
	require.NoError(t, before.SignalWorkflow(ctx, signalled.GetID(), "", "signal", "signal"))
	require.NoError(t, after.SignalWorkflow(ctx, unreadable.GetID(), "", "signal", "signal"))

	stop := work(t, without)
	for _, run := range []client.WorkflowRun{unreadable, signalled} {
		event := awaitEvent(t, after, run.GetID(), run.GetRunID(), enumspb.EVENT_TYPE_WORKFLOW_TASK_FAILED)
		failed := event.GetWorkflowTaskFailedEventAttributes()
		require.Equal(t, enumspb.WORKFLOW_TASK_FAILED_CAUSE_WORKFLOW_WORKER_UNHANDLED_FAILURE, failed.GetCause())
		require.Equal(t, "Encoded failure", failed.GetFailure().GetMessage())
		why := codec.NewFailureConverter(codec.NewDataConverter(ringOf(t, "b"))).FailureToError(failed.GetFailure())
		require.ErrorContains(t, why, `key "a": not in the key ring`)
	}
	stop()

	work(t, after)
	for _, run := range []client.WorkflowRun{unreadable, signalled} {
		var result string
		require.NoError(t, after.GetWorkflow(ctx, run.GetID(), run.GetRunID()).Get(ctx, &result))
		require.Equal(t, "input signal "+secret("local result"), result)
	}
}

// TestHistory_ReplaysWithEveryRingThatHasItsKeys: what was recorded encrypted
// replays after a rotation, and what was recorded before any codec replays too.
func TestHistory_ReplaysWithEveryRingThatHasItsKeys(t *testing.T) {
	t.Parallel()
	e := start(t)
	plain := e.dial(t, nil)
	record := func(c client.Client, id string) client.WorkflowRun {
		defer work(t, c)()
		run, err := c.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{ID: id, TaskQueue: queue}, asleep, "input")
		require.NoError(t, err)
		require.NoError(t, c.SignalWorkflow(t.Context(), run.GetID(), "", "signal", "signal"))
		require.NoError(t, run.Get(t.Context(), nil))
		return run
	}
	replay := func(run client.WorkflowRun, data converter.DataConverter) error {
		replayer, err := worker.NewWorkflowReplayerWithOptions(worker.WorkflowReplayerOptions{
			DataConverter: data, FailureConverter: codec.NewFailureConverter(data),
		})
		require.NoError(t, err)
		replayer.RegisterWorkflow(asleep)
		return replayer.ReplayWorkflowHistory(sdklog.NewStructuredLogger(silent), historyOf(t, plain, run.GetID(), run.GetRunID()))
	}

	sealed := record(e.dial(t, ringOf(t, "a")), "sealed")
	require.NoError(t, replay(sealed, codec.NewDataConverter(ringOf(t, "a"))))
	require.NoError(t, replay(sealed, codec.NewDataConverter(ringOf(t, "b", "a"))))
	require.Error(t, replay(sealed, codec.NewDataConverter(ringOf(t, "b"))))
	require.Error(t, replay(sealed, converter.GetDefaultDataConverter()))

	unsealed := record(plain, "unsealed")
	require.Error(t, replay(unsealed, codec.NewDataConverter(ringOf(t, "a"))), "it was not recorded by us")
	require.NoError(t, replay(unsealed, converter.GetDefaultDataConverter()))
}
