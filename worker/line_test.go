package worker_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
)

// requireLine is what a line comes to, which then says so in that state.
func requireLine(t *testing.T, line client.WorkflowRun, state postdate.State) (protocol.LineResult, protocol.Group) {
	t.Helper()
	var result protocol.LineResult
	require.NoError(t, line.Get(t.Context(), &result))
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), line.GetID(), "")
	require.NoError(t, err)
	require.Equal(t, state, stateIn(t, described.GetWorkflowExecutionInfo().GetSearchAttributes()))
	return result, groupOf(t, engineClient, line)
}

// groupOf is the memo of a Line or a Dispatch.
func groupOf(t *testing.T, c client.Client, run client.WorkflowRun) (group protocol.Group) {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
	require.NoError(t, err)
	memo := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[protocol.MemoGroup]
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(memo, &group))
	return group
}

// lineOf is the line in which a delivery with an execution of its own waits.
func (d *delivery) lineOf() client.WorkflowRun {
	d.t.Helper()
	var line string
	eventually.True(d.t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
		require.NoError(d.t, err)
		payload := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[protocol.MemoLine]
		return payload != nil && converter.GetDefaultDataConverter().FromPayload(payload, &line) == nil
	})
	d.awaitState(postdate.Waiting)
	found := findLine(d.t, line)
	eventually.True(d.t, func() bool { // its endpoint knows it
		_, err := engineClient.QueryWorkflow(d.t.Context(), protocol.EndpointID(d.t.Name(), "ep_1"), "", protocol.QueryTurn, line)
		return err == nil
	})
	return found
}

func ofEntity(entity string) func(*protocol.DeliverInput) {
	return func(in *protocol.DeliverInput) { in.Shipment.Message.Entity = entity }
}

func TestLineDelivered(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, from, ids := enqueueEvents(t, 3, accepts)
	wakeLines(t)
	result, group := requireLine(t, line, "")
	require.Len(t, result.Delivered, 3)
	require.Len(t, group.Events, len(ids))
	require.Empty(t, groupOf(t, engineClient, from).Events[0].Endpoints, "the Dispatch names them no more")
	recordRun(t, from, "dispatch/queued")
	recordRun(t, line, "line/delivered")
}

func TestLinePartlyHandedOver(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, _, ids := enqueueEvents(t, 3, func(place int) postdate.Attempt {
		if place == 1 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
		}
		return accept("")
	})
	wakeLines(t)
	result, group := requireLine(t, line, "")
	require.Len(t, result.Delivered, 2)
	require.Len(t, group.Events, 2)
	for _, event := range group.Events {
		require.NotEqual(t, ids[1], postdate.DeliveryID(event.ID, "ep_1"))
	}
	handed := deliverInput(t, ids[1])
	require.True(t, handed.Handed)
	require.Equal(t, 503, handed.Attempts.Last().Status)
	recordRun(t, line, "line/partly-handed-over")
}

// cancelEntry cancels one of the deliveries that a line carries.
func cancelEntry(t *testing.T, line client.WorkflowRun, id string) {
	t.Helper()
	var updated protocol.UpdateResult
	handle, err := engineClient.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: line.GetID(), UpdateName: protocol.UpdateCancelWaiter, Args: []any{id},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	require.NoError(t, handle.Get(t.Context(), &updated))
	require.Equal(t, postdate.Cancelled, updated.State)
}

// An attempt that hangs holds up no cancellation but its own.
func TestLineCancelledBesideAnAttempt(t *testing.T) {
	t.Parallel()
	setBusy(t)
	single.Store(t.Name(), new(atomic.Int64))
	begun, answer := make(chan struct{}), make(chan struct{})
	line, _, ids := enqueueEvents(t, 3, func(int) postdate.Attempt {
		close(begun)
		<-answer
		return accept("")
	})
	wakeLines(t)
	<-begun
	cancelEntry(t, line, ids[1])
	cancelEntry(t, line, ids[2])
	close(answer)
	result, _ := requireLine(t, line, postdate.Cancelled)
	require.Contains(t, result.Delivered, 0)
	require.Len(t, result.Cancelled, 2)
	recordRun(t, line, "line/cancelled-beside-an-attempt")
}

func TestLineCancelledWaiter(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, _, ids := enqueueEvents(t, 2, accepts)
	cancelEntry(t, line, ids[0])

	wakeLines(t)
	result, group := requireLine(t, line, postdate.Cancelled)
	require.Len(t, result.Delivered, 1)
	require.Len(t, result.Cancelled, 1)
	for _, event := range group.Events {
		require.Equal(t, postdate.DeliveryID(event.ID, "ep_1") == ids[0], event.Cancelled != "", event.ID)
	}
	recordRun(t, line, "line/cancelled-waiter")
}

func TestWaitingThenDelivered(t *testing.T) {
	t.Parallel()
	setBusy(t)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	line := d.lineOf()
	wakeLines(t)
	_, err := d.end()
	require.NoError(t, err)
	var delivered protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &delivered))
	require.Len(t, delivered.Attempts, 1, "that there was no turn is no attempt")

	result, group := requireLine(t, line, "")
	require.Empty(t, result.Delivered)
	require.Empty(t, group.Events, "it was there in name only")
	record(t, d)
	recordRun(t, line, "line/told")
}

func TestWaitingThenCancelled(t *testing.T) {
	t.Parallel()
	setBusy(t)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	line := d.lineOf()
	_, err := d.update(protocol.UpdateCancel)
	require.NoError(t, err)
	requireCancelled(t, d, 0)
	record(t, d)

	wakeLines(t)
	result, _ := requireLine(t, line, "")
	require.Empty(t, result.Delivered, "whoever is over needs no turn")
}

func TestWaitingThenChanged(t *testing.T) {
	t.Parallel()
	setBusy(t)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	line := d.lineOf()
	_, err := d.update(protocol.UpdateReschedule, postdate.Change{Data: []byte(`{"amount":2}`)})
	require.NoError(t, err)
	require.NotEqual(t, d.run.GetRunID(), d.latestRun())
	require.Equal(t, line.GetID(), d.lineOf().GetID(), "it keeps its place")
	record(t, d)

	wakeLines(t)
	_, err = d.end()
	require.NoError(t, err)
	var delivered protocol.DeliverResult
	require.NoError(t, engineClient.GetWorkflow(t.Context(), d.run.GetID(), "").Get(t.Context(), &delivered))
	require.Len(t, delivered.Attempts, 1)
	requireLine(t, line, "")
	historytest.Record(t, engineClient, "deliver/changed-in-line", d.run.GetID(), "")
	require.Len(t, d.arrived, 1, "it was sent once")
}

func TestWaitingThenSuperseded(t *testing.T) {
	t.Parallel()
	setBusy(t, func(e *postdate.Endpoint) { e.Coalesce = true })
	older := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), ofEntity("customer_42"))
	older.lineOf()
	other := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), ofEntity("customer_43"))
	other.lineOf()
	newer := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), ofEntity("customer_42"))
	newer.lineOf()
	wakeLines(t)
	for _, d := range []*delivery{other, newer} {
		_, err := d.end()
		require.NoError(t, err)
	}
	require.Equal(t, "a newer message took its place", requireCancelled(t, older, 0).Reason)
	record(t, older)
}

func TestLinesOfOneEndpointAreCalledOneAfterAnother(t *testing.T) {
	t.Parallel()
	endpoint := setBusy(t)
	answering := make(chan struct{})
	answer := sync.OnceFunc(func() { close(answering) })
	defer answer()
	var lines []client.WorkflowRun
	for range 3 {
		line, _, _ := enqueueEvents(t, 2, func(int) postdate.Attempt {
			<-answering
			return accept("")
		})
		lines = append(lines, line)
	}
	wakeLines(t, 1)
	for _, first := range lines[:2] {
		awaitState(t, first, postdate.Sending)
	}
	awaitState(t, lines[2], postdate.Waiting)
	answer()
	for _, line := range lines {
		result, group := requireLine(t, line, "")
		require.Len(t, result.Delivered, 2)
		require.Len(t, group.Events, 2)
	}
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), endpoint.GetID(), endpoint.GetRunID())
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_RUNNING, described.GetWorkflowExecutionInfo().GetStatus(), "it goes on")
	recordRun(t, endpoint, "endpoint/lines-called")
}

func TestLineOfAnEndpointThatWasDeleted(t *testing.T) {
	t.Parallel()
	const why = "the endpoint was deleted"
	endpoint := setBusy(t)
	line, _, _ := enqueueEvents(t, 2, accepts)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	d.lineOf()
	endpoints.Store(t.Name(), []postdate.Endpoint{})
	signalSettings(t, engineClient, protocol.EndpointSettings{Version: 2})

	result, group := requireLine(t, line, postdate.Cancelled)
	require.Equal(t, map[int]string{0: why, 1: why}, result.Cancelled)
	require.Equal(t, why, group.Events[0].Cancelled)
	require.Equal(t, why, requireCancelled(t, d, 0).Reason)
	require.NoError(t, endpoint.Get(t.Context(), nil), "it ends, as nobody waits any more")
	recordRun(t, endpoint, "endpoint/deleted")
	recordRun(t, line, "line/endpoint-deleted")
}
