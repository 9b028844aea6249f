package worker_test

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// TestLineAndItsEndpointContinueAsNew issues few permits each time a line is woken, so that
// both continue as new while some entries wait and others have ended.
func TestLineAndItsEndpointContinueAsNew(t *testing.T) {
	t.Parallel()
	short := historytest.ShortRuns(t, 40, protocol.SearchAttributes)
	w := newWorker(short)
	require.NoError(t, w.Start())
	defer w.Stop()
	setEndpoint(t, postdate.Enabled)
	slow.Store(t.Name(), new(atomic.Int64))
	signalSettings(t, short, protocol.EndpointSettings{Version: 1, State: postdate.Paused})

	const all, cancelled, failed = 16, 1, 2
	in := protocol.LineInput{Tenant: t.Name(), Endpoint: "ep_1", ID: "l1", Since: time.Now().UTC()}
	var sent [all]atomic.Int64
	for place := range all {
		id := unique(t)
		receivers.Store(id, subscribers(func(string) postdate.Attempt {
			sent[place].Add(1)
			if place == failed {
				return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
			}
			return accept("")
		}))
		in.Entries = append(in.Entries, protocol.QueueEntry{DeliveryID: postdate.DeliveryID(id, "ep_1"), At: in.Since, Message: &postdate.Message{
			ID: id, Tenant: t.Name(), Type: "payment_request.expired", Timestamp: in.Since, Data: json.RawMessage(`{"amount":1}`),
		}})
	}
	line, err := short.ExecuteWorkflow(t.Context(), protocol.LineOptions(in), protocol.LineWorkflow, in)
	require.NoError(t, err)
	ask(t, short, line.GetID(), protocol.UpdateCancelWaiter, in.Entries[cancelled].DeliveryID)
	ask(t, short, protocol.EndpointID(t.Name(), "ep_1"), protocol.UpdateLease,
		protocol.LeaseRequest{Worker: "w", InFlight: 1, Waiting: 3, Feedback: throttle.Feedback{Failed: 1, Trailing: 1}})
	signalSettings(t, short, protocol.EndpointSettings{Version: 2, State: postdate.Enabled, Pace: postdate.Pace{InFlight: 100}})

	soon, stop := context.WithTimeout(t.Context(), time.Minute) // a call that was lost comes again after three
	defer stop()
	var result protocol.LineResult
	require.NoError(t, line.Get(soon, &result))
	require.Equal(t, map[int]string{cancelled: "cancelled"}, result.Cancelled)
	require.Len(t, result.Delivered, all-2)
	for place := range all {
		switch place {
		case cancelled:
			require.Zero(t, sent[place].Load())
		case failed: // is tried again
		default:
			require.Equal(t, int64(1), sent[place].Load(), "place %d", place)
		}
	}
	_, err = short.DescribeWorkflowExecution(soon, protocol.DeliveryID(t.Name(), in.Entries[failed].DeliveryID), "")
	require.NoError(t, err, "it has an execution of its own")
	require.Len(t, groupOf(t, short, line).Events, all-1)

	for name, id := range map[string]string{"line": line.GetID(), "endpoint": protocol.EndpointID(t.Name(), "ep_1")} {
		runs := historytest.Runs(t, short, id)
		require.Greater(t, len(runs), 2)
		historytest.Record(t, short, name+"/continued-as-new", id, runs[0])
		historytest.Record(t, short, name+"/carried-on", id, runs[1])
	}
}

// ask sends an Update to an execution.
func ask(t *testing.T, c client.Client, id, update string, arg any) {
	t.Helper()
	handle, err := c.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: id, UpdateName: update, Args: []any{arg}, WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	require.NoError(t, handle.Get(t.Context(), nil))
}
