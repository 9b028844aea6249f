package worker_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/worker"
)

// subscribers answer the attempts at an event's endpoints, by their urls.
type subscribers func(url string) postdate.Attempt

// dispatch starts a Dispatch as a publication does: of one event to n endpoints
// that answer so, changed by change.
func dispatch(t *testing.T, n int, answer subscribers, change ...func(*protocol.Publication)) client.WorkflowRun {
	t.Helper()
	id := unique(t)
	var list []postdate.Endpoint
	publication := protocol.Publication{Endpoints: []string{}, Message: postdate.Message{
		ID: id, Tenant: t.Name(), Type: "payment_request.expired", Entity: "customer_42",
		Timestamp: time.Now().UTC(), Data: json.RawMessage(`{"amount":1}`),
	}}
	for i := range n {
		endpoint := fmt.Sprintf("ep_%d", i)
		list = append(list, postdate.Endpoint{ID: endpoint, URL: endpoint, State: postdate.Enabled})
		publication.Endpoints = append(publication.Endpoints, endpoint)
	}
	for _, each := range change {
		each(&publication)
	}
	endpoints.Store(t.Name(), list)
	receivers.Store(id, answer)
	in := protocol.DispatchInput{Digest: "d", At: time.Now().UTC(), Events: []protocol.Publication{publication}}
	run, err := engineClient.ExecuteWorkflow(t.Context(),
		protocol.DispatchOptions(protocol.EventID(t.Name(), id), in), protocol.DispatchWorkflow, in)
	require.NoError(t, err)
	return run
}

// deliverInput is what the execution of a delivery was started with.
func deliverInput(t *testing.T, id string) (in protocol.DeliverInput) {
	t.Helper()
	history := engineClient.GetWorkflowHistory(t.Context(), protocol.DeliveryID(t.Name(), id), "", false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	started, err := history.Next()
	require.NoError(t, err, "it has an execution of its own")
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(started.GetWorkflowExecutionStartedEventAttributes().GetInput(), &in))
	return in
}

// requireGroup is the memo of a Dispatch that has ended, and what it delivered.
func requireGroup(t *testing.T, run client.WorkflowRun) (protocol.Group, []protocol.GroupDelivery) {
	t.Helper()
	var result protocol.DispatchResult
	require.NoError(t, run.Get(t.Context(), &result))
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
	require.NoError(t, err)
	info := described.GetWorkflowExecutionInfo()
	var group protocol.Group
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(info.GetMemo().GetFields()[protocol.MemoGroup], &group))
	var listed []string
	if payload := info.GetSearchAttributes().GetIndexedFields()[protocol.AttrEndpoint.GetName()]; payload != nil {
		require.NoError(t, json.Unmarshal(payload.GetData(), &listed))
	}
	require.ElementsMatch(t, group.Events[0].Endpoints, listed)
	return group, result.Delivered
}

func accept(string) postdate.Attempt {
	return postdate.Attempt{Outcome: postdate.Accepted, Status: 200}
}

func TestDispatchDelivered(t *testing.T) {
	t.Parallel()
	run := dispatch(t, 20, accept)
	group, delivered := requireGroup(t, run)
	require.Len(t, delivered, 20)
	require.Len(t, group.Events[0].Endpoints, 20)
	recordRun(t, run, "dispatch/delivered")
}

func TestDispatchHandedOver(t *testing.T) {
	t.Parallel()
	run := dispatch(t, 20, func(url string) postdate.Attempt {
		if url == "ep_3" || url == "ep_7" {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
		}
		return accept(url)
	})
	group, delivered := requireGroup(t, run)
	require.Len(t, delivered, 18)
	require.Len(t, group.Events[0].Endpoints, 18)
	for _, endpoint := range []string{"ep_3", "ep_7"} {
		require.NotContains(t, group.Events[0].Endpoints, endpoint)
		_, err := engineClient.DescribeWorkflowExecution(t.Context(),
			protocol.DeliveryID(t.Name(), postdate.DeliveryID(group.Events[0].ID, endpoint)), "")
		require.NoError(t, err, "it has an execution of its own once it left the group")
	}
	recordRun(t, run, "dispatch/handed-over")
}

// What a source says of retries and timeouts goes on with what leaves the group.
func TestDispatchHandedOverWithARetryOfItsOwn(t *testing.T) {
	t.Parallel()
	retry, timeout := postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(7 * time.Hour)}}, postdate.Duration(3*time.Second)
	run := dispatch(t, 1, func(string) postdate.Attempt { return postdate.Attempt{Outcome: postdate.Failed, Status: 503} },
		func(p *protocol.Publication) { p.OwnRetry, p.OwnTimeout = &retry, timeout })
	group, _ := requireGroup(t, run)
	in := deliverInput(t, postdate.DeliveryID(group.Events[0].ID, "ep_0"))
	require.Equal(t, retry.Schedule, in.Retry.Schedule)
	require.Equal(t, timeout, in.Shipment.Timeout)
	recordRun(t, run, "dispatch/handed-over-with-a-retry-of-its-own")
}

func TestDispatchHandedOverWhole(t *testing.T) {
	t.Parallel()
	run := dispatch(t, 2, func(string) postdate.Attempt { return postdate.Attempt{Outcome: postdate.Gone, Status: 410} })
	group, delivered := requireGroup(t, run)
	require.Empty(t, delivered)
	require.Empty(t, group.Events[0].Endpoints)
	recordRun(t, run, "dispatch/handed-over-whole")
}

func TestDispatchOfMoreThanFit(t *testing.T) {
	t.Parallel()
	run := dispatch(t, 2*protocol.MaxGroupEndpoints+1, accept)
	group, delivered := requireGroup(t, run)
	require.Len(t, delivered, protocol.MaxGroupEndpoints)
	require.Len(t, group.Events[0].Endpoints, protocol.MaxGroupEndpoints)
	for n, want := range []int{protocol.MaxGroupEndpoints, 1} {
		part := engineClient.GetWorkflow(t.Context(), protocol.PartID(run.GetID(), n+1), "")
		group, delivered := requireGroup(t, part)
		require.Len(t, delivered, want)
		require.Len(t, group.Events[0].Endpoints, want)
	}
	_, err := engineClient.DescribeWorkflowExecution(t.Context(), protocol.PartID(run.GetID(), 3), "")
	_, missing := errors.AsType[*serviceerror.NotFound](err)
	require.True(t, missing, "%v", err)
	recordRun(t, run, "dispatch/of-more-than-fit")
}

func TestDispatchWithoutSubscribers(t *testing.T) {
	t.Parallel()
	run := dispatch(t, 0, accept)
	group, delivered := requireGroup(t, run)
	require.Empty(t, delivered)
	require.Len(t, group.Events, 1)
	require.Empty(t, group.Events[0].Endpoints)
	recordRun(t, run, "dispatch/without-subscribers")
}

func TestPolling_WantsBothQueuesPolled(t *testing.T) {
	t.Parallel()
	eventually.True(t, func() bool {
		polled, err := worker.Polling(t.Context(), engineClient)
		require.NoError(t, err)
		return polled
	})
}
