package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// dispatchEnv runs a Dispatch and those that it starts, and keeps what they
// sent and handed over. The tenant's endpoints are named for what they answer.
type dispatchEnv struct {
	*testsuite.TestWorkflowEnvironment
	activities.Starter
	activities.Publisher
	activities.Queue
	activities.Deliveries
	activities.AttemptLog
	t *testing.T

	mu     sync.Mutex
	tenant postdate.Tenant
	sent   []string // delivery ids
	handed map[string]protocol.DeliverInput
	parts  map[string]protocol.DispatchInput // that were started, by workflow id
	faults int                               // of the next starts
	ended  bool                              // what an attempt that was given up still does is not recorded

	busy   string // an endpoint for which no permit comes
	queued []protocol.EnqueueRequest
}

var errEnded = errors.New("the workflow has ended")

func (e *dispatchEnv) Acquire(_ context.Context, _ string, to postdate.Endpoint, _ throttle.PermitRequest) (throttle.Permit, error) {
	if to.ID == e.busy {
		return nil, throttle.ErrNoPermit
	}
	return throttle.Unlimited, nil
}

func (e *dispatchEnv) Enqueue(_ context.Context, all []protocol.EnqueueRequest) (lines []string, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queued = append(e.queued, all...)
	for _, q := range all {
		lines = append(lines, "line_of_"+q.Entry.DeliveryID)
	}
	return lines, nil
}

func newDispatchEnv(t *testing.T) *dispatchEnv {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	e := &dispatchEnv{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, handed: map[string]protocol.DeliverInput{}, parts: map[string]protocol.DispatchInput{}}
	e.SetStartTime(start)
	workflows.Register(e)
	(&activities.Activities{
		Sender: e, Tenants: e, Starter: e, Publisher: e, Queue: e, Deliveries: e, AttemptLog: e, Limiter: e, Log: slog.New(slog.DiscardHandler), Now: e.Now,
	}).Register(e)
	return e
}

func (e *dispatchEnv) Tenant(context.Context, string) (*postdate.Tenant, error) {
	return &e.tenant, nil
}

func (e *dispatchEnv) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return e.Tenant(ctx, name)
}

func (*dispatchEnv) Report(context.Context, string, string, postdate.Attempt) {}

// Send answers as the endpoint's host says.
func (e *dispatchEnv) Send(_ context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return postdate.Attempt{}, errEnded
	}
	e.sent = append(e.sent, m.ID)
	outcome := postdate.Outcome(to.URL)
	if outcome == "" {
		return postdate.Attempt{}, errors.New("a fault of our own")
	}
	return postdate.Attempt{At: start, Outcome: outcome, Status: 200}, nil
}

func (e *dispatchEnv) StartDelivery(_ context.Context, h protocol.DeliverInput, _ protocol.Accepted) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return errEnded
	}
	if e.faults > 0 {
		e.faults--
		return errors.New("no engine")
	}
	e.handed[h.Shipment.ID()] = h
	return nil
}

func (e *dispatchEnv) StartDispatch(_ context.Context, workflowID string, in protocol.DispatchInput) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ended {
		return errEnded
	}
	if e.faults > 0 {
		e.faults--
		return errors.New("no engine")
	}
	e.parts[workflowID] = in
	return nil
}

// endpoints makes endpoints that answer so, and lists their ids.
func (e *dispatchEnv) endpoints(n int, outcome postdate.Outcome) []string {
	var ids []string
	for range n {
		id := fmt.Sprintf("ep_%d", len(e.tenant.Endpoints))
		e.tenant.Endpoints = append(e.tenant.Endpoints, postdate.Endpoint{ID: id, URL: string(outcome), State: postdate.Enabled})
		ids = append(ids, id)
	}
	return ids
}

func event(id string, endpoints ...string) protocol.Publication {
	return protocol.Publication{Endpoints: endpoints, Message: postdate.Message{
		ID: id, Tenant: "default", Type: "payment_request.expired", Entity: "customer_" + id,
		Timestamp: start, Data: json.RawMessage(`{"id":"` + id + `"}`),
	}}
}

// dispatch runs a Dispatch of these events.
func (e *dispatchEnv) dispatch(events ...protocol.Publication) protocol.DispatchResult {
	e.t.Helper()
	e.ExecuteWorkflow(protocol.DispatchWorkflow, protocol.DispatchInput{Digest: "d", At: start, Events: events})
	e.mu.Lock()
	e.ended = true
	e.mu.Unlock()
	require.True(e.t, e.IsWorkflowCompleted())
	require.NoError(e.t, e.GetWorkflowError())
	var result protocol.DispatchResult
	require.NoError(e.t, e.GetWorkflowResult(&result))
	return result
}

// lists keeps what the newest upserts say.
type lists struct {
	set   bool
	group protocol.Group
}

// watch has lists filled in by upserts.
func (e *dispatchEnv) watch() *lists {
	now := &lists{}
	e.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Maybe()
	e.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		now.set = true
		now.group = args.Get(0).(map[string]any)[protocol.MemoGroup].(protocol.Group)
	}).Return(nil).Maybe()
	return now
}

func TestDispatch_DeliversToAllSubscribersAtOnce(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	now := e.watch()
	ids := e.endpoints(20, postdate.Accepted)
	result := e.dispatch(event("evt_1", ids...))
	require.Len(t, result.Delivered, 20)
	for i, done := range result.Delivered {
		require.Equal(t, protocol.GroupDelivery{Endpoint: ids[i], Attempt: postdate.Attempt{
			Number: 1, At: start, Outcome: postdate.Accepted, Status: 200,
		}}, done)
	}
	require.Empty(t, e.handed)
	require.False(t, now.set, "an upsert is a write")
}

func TestDispatch_HasNothingToDoWithoutSubscribers(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	require.Empty(t, e.dispatch(event("evt_1")).Delivered)
	require.Empty(t, e.sent)
}

func TestDispatch_HandsOverWhatIsNotAccepted(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	now := e.watch()
	good := e.endpoints(1, postdate.Accepted)[0]
	failing := e.endpoints(1, postdate.Failed)[0]
	gone := e.endpoints(1, postdate.Gone)[0]
	again := e.endpoints(1, postdate.Rescheduled)[0]
	faulty := e.endpoints(1, "")[0]
	paused := e.endpoints(1, postdate.Accepted)[0]
	e.tenant.Endpoints[5].State = postdate.Paused
	retry := postdate.Retry{MaxAttempts: 7}
	e.tenant.Endpoints[1].Retry, e.tenant.Endpoints[1].Timeout = &retry, postdate.Duration(7)
	e.faults = 2

	result := e.dispatch(event("evt_1", good, failing, gone, again, faulty, paused, "ep_deleted"), event("evt_2", failing, good))
	require.Len(t, result.Delivered, 2)
	require.Equal(t, []int{0, 1}, []int{result.Delivered[0].Event, result.Delivered[1].Event})

	require.Len(t, e.handed, 7)
	for id, attempts := range map[string]int{
		"evt_1." + failing: 1, "evt_1." + gone: 1, "evt_1." + again: 1, "evt_2." + failing: 1,
		"evt_1." + faulty: 0, "evt_1." + paused: 0, "evt_1.ep_deleted": 0,
	} {
		require.Len(t, e.handed[id].Attempts, attempts, id)
	}
	handed := e.handed["evt_2."+failing]
	require.Equal(t, retry.WithDefaults(), handed.Retry)
	require.Equal(t, postdate.Duration(7), handed.Shipment.Timeout)
	require.Equal(t, postdate.Destination{Endpoint: failing}, handed.Shipment.To)
	require.JSONEq(t, `{"id":"evt_2"}`, string(handed.Shipment.Message.Data))
	require.Equal(t, start, handed.Shipment.DueAt)

	require.Equal(t, []string{good}, now.group.Events[0].Endpoints)
	require.Equal(t, []string{good}, now.group.Events[1].Endpoints)
	require.Equal(t, "d", now.group.Digest)
}

func TestDispatch_HasThoseGoInLineWhoHaveNoTurn(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	now := e.watch()
	good, failing, slow := e.endpoints(1, postdate.Accepted)[0], e.endpoints(1, postdate.Failed)[0], e.endpoints(1, postdate.Accepted)[0]
	e.busy = slow
	result := e.dispatch(event("evt_1", good, failing, slow), event("evt_2", slow))
	require.Len(t, result.Delivered, 1)
	require.Equal(t, []protocol.QueuedDelivery{
		{Event: 0, Endpoint: slow, Line: "line_of_evt_1." + slow}, {Event: 1, Endpoint: slow, Line: "line_of_evt_2." + slow},
	}, result.Queued)
	require.Len(t, e.queued, 2)
	for _, queued := range e.queued {
		require.Equal(t, start, queued.Entry.At)
		require.NotNil(t, queued.Entry.Message, "it travels in the line")
	}
	require.Len(t, e.handed, 1, "none that waits has an execution of its own")
	require.Equal(t, []string{good}, now.group.Events[0].Endpoints)
	require.Empty(t, now.group.Events[1].Endpoints)
}

func TestDispatch_HandsOverAllWhereTheAttemptsAreLost(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	now := e.watch()
	e.OnActivity(protocol.SendGroupActivity, mock.Anything, mock.Anything).Return(nil, errors.New("its worker was killed"))
	ids := e.endpoints(20, postdate.Accepted)
	require.Empty(t, e.dispatch(event("evt_1", ids...)).Delivered)
	require.Len(t, e.handed, 20)
	for _, handed := range e.handed {
		require.Empty(t, handed.Attempts)
	}
	require.Empty(t, now.group.Events[0].Endpoints)
}

func TestDispatch_SharesOutWhatIsTooMuchForOne(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	ids := e.endpoints(1000, postdate.Accepted)
	e.faults = 20 // Temporal may be away for a while
	e.SetOnChildWorkflowStartedListener(func(*workflow.Info, workflow.Context, converter.EncodedValues) {
		require.Fail(t, "the end of a child would arrive during the attempts")
	})
	result := e.dispatch(event("evt_1", ids...))
	require.Len(t, result.Delivered, protocol.MaxGroupEndpoints)
	require.Len(t, e.sent, protocol.MaxGroupEndpoints)
	sent := ids[:protocol.MaxGroupEndpoints:protocol.MaxGroupEndpoints]
	for n := 1; n <= 12; n++ {
		part := e.parts[protocol.PartID("default-test-workflow-id", n)]
		require.Equal(t, 13, part.Of)
		sent = append(sent, part.Events[0].Endpoints...)
	}
	require.Equal(t, ids, sent)
	require.Len(t, e.parts, 12)
}

func TestDispatch_ThatBeganWithChildrenContinuesSo(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	e.OnGetVersion("parts-are-not-children", workflow.DefaultVersion, workflow.Version(1)).Return(workflow.DefaultVersion)
	large := event("evt_1", e.endpoints(5*protocol.MaxGroupEndpoints, postdate.Accepted)...)
	large.Message.Data = json.RawMessage(`"` + strings.Repeat("x", 700<<10) + `"`)
	require.Len(t, e.dispatch(large).Delivered, protocol.MaxGroupEndpoints)
	require.Len(t, e.sent, 5*protocol.MaxGroupEndpoints)
}

func TestDispatch_IsNotStoppedByTheEngine(t *testing.T) {
	t.Parallel()
	e := newDispatchEnv(t)
	e.RegisterDelayedCallback(e.CancelWorkflow, 0)
	ids := e.endpoints(100, postdate.Accepted)
	e.tenant.Endpoints[0].URL = string(postdate.Failed)
	require.Len(t, e.dispatch(event("evt_1", ids...)).Delivered, protocol.MaxGroupEndpoints-1)
	require.Len(t, e.handed, 1)
}

func TestParts_KeepToTheEnginesLimits(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("<", 120)
	var events []protocol.Publication
	for i := range 100 {
		each := event(fmt.Sprintf("evt_%d", i), "ep_"+long+strconv.Itoa(i), "ep_1")
		each.Message.Type = strconv.Itoa(i%7) + long
		events = append(events, each)
	}
	events = append(events, event("evt_none"))
	in := protocol.DispatchInput{At: start, Events: events}
	var carried []string
	for n, part := range in.Parts() {
		require.Equal(t, []protocol.DispatchInput{part}, part.Parts(), "what a part carries it carries itself")
		require.LessOrEqual(t, len(part.Own()), protocol.MaxGroupEndpoints)
		options := protocol.DispatchOptions(protocol.PartID("event/default/evt_1", n), part)
		for key, value := range options.TypedSearchAttributes.GetUntypedValues() {
			encoded, err := json.Marshal(value)
			require.NoError(t, err)
			require.LessOrEqual(t, len(encoded), 2048, key.GetName())
		}
		for _, each := range part.Events {
			for _, endpoint := range each.Endpoints {
				carried = append(carried, each.Message.ID+"."+endpoint)
			}
		}
	}
	var all []string
	for _, each := range events {
		for _, endpoint := range each.Endpoints {
			all = append(all, each.Message.ID+"."+endpoint)
		}
	}
	require.Equal(t, all, carried)
	require.Len(t, in.Parts()[0].Group().Events, len(in.Parts()[0].Events))
	require.Equal(t, "evt_none", in.Parts()[0].Events[len(in.Parts()[0].Events)-1].Message.ID)
}
