package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// pacer has no turn for those of a busy tenant who were not called. All others
// have one at once.
type pacer struct{}

var busy sync.Map // tenants, by name

func (pacer) Take(_ context.Context, tenant string, _ postdate.Endpoint, c activities.Claim) (activities.Turn, error) {
	if _, is := busy.Load(tenant); is && !c.Called {
		return nil, nil //nolint:nilnil // no turn
	}
	return turn{}, nil
}

type turn struct{}

func (turn) Done(postdate.Attempt) {}

// setBusy gives the test's tenant one endpoint, at which everybody waits in line
// until it calls.
func setBusy(t *testing.T, change ...func(*postdate.Endpoint)) {
	t.Helper()
	e := postdate.Endpoint{ID: "ep_1", URL: "https://crm.example/hooks", State: postdate.Enabled, EventTypes: []string{"*"}}
	for _, each := range change {
		each(&e)
	}
	endpoints.Store(t.Name(), []postdate.Endpoint{e})
	busy.Store(t.Name(), true)
	signalSettings(t, 1, postdate.Paused, e.Coalesce)
}

// callLines has the endpoint call those who wait.
func callLines(t *testing.T) {
	t.Helper()
	known, _ := endpoints.Load(t.Name())
	signalSettings(t, 2, postdate.Enabled, known.([]postdate.Endpoint)[0].Coalesce)
}

// signalSettings tells the endpoint something newer than what the directory knows.
func signalSettings(t *testing.T, version int64, state postdate.EndpointState, coalesce bool) {
	t.Helper()
	_, err := engineClient.SignalWithStartWorkflow(t.Context(), workflows.EndpointID(t.Name(), "ep_1"), workflows.SignalSettings,
		workflows.EndpointSettings{Version: version, State: state, Pace: postdate.Pace{InFlight: 100}, Coalesce: coalesce},
		workflows.EndpointOptions(t.Name(), "ep_1"), workflows.EndpointName,
		workflows.EndpointInput{Tenant: t.Name(), ID: "ep_1"})
	require.NoError(t, err)
}

// queueUp has n events wait in one line, which it answers with the Dispatch that
// they leave. Their receivers answer by their places.
func queueUp(t *testing.T, n int, answer func(place int) postdate.Attempt) (line, from client.WorkflowRun, ids []string) {
	t.Helper()
	in := workflows.DispatchInput{Digest: "d", At: time.Now().UTC()}
	group := unique(t)
	for place := range n {
		id := fmt.Sprintf("%s.%d", group, place)
		receivers.Store(id, subscribers(func(string) postdate.Attempt { return answer(place) }))
		ids = append(ids, postdate.DeliveryID(id, "ep_1"))
		in.Events = append(in.Events, workflows.Publication{Endpoints: []string{"ep_1"}, Message: postdate.Message{
			ID: id, Tenant: t.Name(), Type: "payment_request.expired", Timestamp: in.At, Data: json.RawMessage(`{"amount":1}`),
		}})
	}
	from, err := engineClient.ExecuteWorkflow(t.Context(),
		workflows.DispatchOptions(workflows.GroupID(t.Name(), group), in), workflows.DispatchName, in)
	require.NoError(t, err)
	var result workflows.DispatchResult
	require.NoError(t, from.Get(t.Context(), &result))
	require.Empty(t, result.Delivered)
	require.Len(t, result.Queued, n)
	for _, queued := range result.Queued {
		require.Equal(t, result.Queued[0].Line, queued.Line, "those that come together wait in one line")
	}
	return findLine(t, result.Queued[0].Line), from, ids
}

func findLine(t *testing.T, id string) client.WorkflowRun {
	t.Helper()
	return engineClient.GetWorkflow(t.Context(), workflows.LineID(t.Name(), "ep_1", id), "")
}

// requireLine is what a line comes to, which then says so in that state.
func requireLine(t *testing.T, line client.WorkflowRun, state postdate.State) (workflows.LineResult, workflows.Group) {
	t.Helper()
	var result workflows.LineResult
	require.NoError(t, line.Get(t.Context(), &result))
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), line.GetID(), "")
	require.NoError(t, err)
	require.Equal(t, state, stateIn(t, described.GetWorkflowExecutionInfo().GetSearchAttributes()))
	return result, groupOf(t, line)
}

// groupOf is the memo of a Line or a Dispatch.
func groupOf(t *testing.T, run client.WorkflowRun) (group workflows.Group) {
	t.Helper()
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
	require.NoError(t, err)
	memo := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[workflows.MemoGroup]
	require.NoError(t, converter.GetDefaultDataConverter().FromPayload(memo, &group))
	return group
}

// lineOf is the line in which a delivery with an execution of its own waits.
func (d *delivery) lineOf() client.WorkflowRun {
	d.t.Helper()
	var line string
	require.Eventually(d.t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(d.t.Context(), d.run.GetID(), "")
		require.NoError(d.t, err)
		payload := described.GetWorkflowExecutionInfo().GetMemo().GetFields()[workflows.MemoLine]
		return payload != nil && converter.GetDefaultDataConverter().FromPayload(payload, &line) == nil
	}, 10*time.Second, 10*time.Millisecond)
	d.awaitState(postdate.Waiting)
	found := findLine(d.t, line)
	require.Eventually(d.t, func() bool { // its endpoint knows it
		_, err := engineClient.QueryWorkflow(d.t.Context(), workflows.EndpointID(d.t.Name(), "ep_1"), "", workflows.QueryTurn, line)
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return found
}

func ofEntity(entity string) func(*workflows.DeliverInput) {
	return func(in *workflows.DeliverInput) { in.Shipment.Message.Entity = entity }
}

func TestLineDelivered(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, from, ids := queueUp(t, 3, func(int) postdate.Attempt { return accept("") })
	callLines(t)
	result, group := requireLine(t, line, "")
	require.Len(t, result.Delivered, 3)
	require.Len(t, group.Events, len(ids))
	require.Empty(t, groupOf(t, from).Events[0].Endpoints, "the Dispatch names them no more")
	recordRun(t, from, "dispatch", "Queued")
	recordRun(t, line, "line", "Delivered")
}

func TestLinePartlyHandedOver(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, _, ids := queueUp(t, 3, func(place int) postdate.Attempt {
		if place == 1 {
			return postdate.Attempt{Outcome: postdate.Failed, Status: 503}
		}
		return accept("")
	})
	callLines(t)
	result, group := requireLine(t, line, "")
	require.Len(t, result.Delivered, 2)
	require.Len(t, group.Events, 2)
	for _, event := range group.Events {
		require.NotEqual(t, ids[1], postdate.DeliveryID(event.ID, "ep_1"))
	}
	var handed workflows.DeliverInput
	history := engineClient.GetWorkflowHistory(t.Context(), workflows.DeliveryID(t.Name(), ids[1]), "", false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	started, err := history.Next()
	require.NoError(t, err, "it has an execution of its own")
	require.NoError(t, converter.GetDefaultDataConverter().FromPayloads(
		started.GetWorkflowExecutionStartedEventAttributes().GetInput(), &handed))
	require.True(t, handed.Handed)
	require.Equal(t, 503, handed.Attempts.Last().Status)
	recordRun(t, line, "line", "PartlyHandedOver")
}

func TestLineCancelledWaiter(t *testing.T) {
	t.Parallel()
	setBusy(t)
	line, _, ids := queueUp(t, 2, func(int) postdate.Attempt { return accept("") })
	var standing workflows.Standing
	handle, err := engineClient.UpdateWorkflow(t.Context(), client.UpdateWorkflowOptions{
		WorkflowID: line.GetID(), UpdateName: workflows.UpdateCancelWaiter, Args: []any{ids[0]},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	})
	require.NoError(t, err)
	require.NoError(t, handle.Get(t.Context(), &standing))
	require.Equal(t, postdate.Cancelled, standing.State)

	callLines(t)
	result, group := requireLine(t, line, postdate.Cancelled)
	require.Len(t, result.Delivered, 1)
	require.Len(t, result.Cancelled, 1)
	for _, event := range group.Events {
		require.Equal(t, postdate.DeliveryID(event.ID, "ep_1") == ids[0], event.Cancelled != "", event.ID)
	}
	recordRun(t, line, "line", "CancelledWaiter")
}

func TestWaitingThenDelivered(t *testing.T) {
	t.Parallel()
	setBusy(t)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	line := d.lineOf()
	callLines(t)
	_, err := d.end()
	require.NoError(t, err)
	var delivered workflows.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &delivered))
	require.Len(t, delivered.Attempts, 1, "that there was no turn is no attempt")

	result, group := requireLine(t, line, "")
	require.Empty(t, result.Delivered)
	require.Empty(t, group.Events, "it was there in name only")
	record(t, d)
	recordRun(t, line, "line", "Told")
}

func TestWaitingThenCancelled(t *testing.T) {
	t.Parallel()
	setBusy(t)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	line := d.lineOf()
	_, err := d.update(workflows.UpdateCancel)
	require.NoError(t, err)
	requireCancelled(t, d, 0)
	record(t, d)

	callLines(t)
	result, _ := requireLine(t, line, "")
	require.Empty(t, result.Delivered, "whoever is over needs no turn")
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
	callLines(t)
	for _, d := range []*delivery{other, newer} {
		_, err := d.end()
		require.NoError(t, err)
	}
	require.Equal(t, "a newer message took its place", requireCancelled(t, older, 0).Reason)
	record(t, older)
}
