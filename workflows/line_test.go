package workflows_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/mock"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// lineEnv runs a line, and records what its endpoint gets. The results of SendLine
// are scripted in sends.
type lineEnv struct {
	*testsuite.TestWorkflowEnvironment
	t  *testing.T
	in protocol.LineInput

	sends      []func(protocol.SendLineInput) protocol.LineProgress
	joined     []time.Duration // since the start
	left       []int           // how many still waited, each time
	handed     []protocol.Undelivered
	superseded []string
	groups     []protocol.Group
	leaving    func() // what happens as it leaves
	losing     bool   // the next call is lost
}

// newLineEnv has n messages wait in a line.
func newLineEnv(t *testing.T, n int, sends ...func(protocol.SendLineInput) protocol.LineProgress) *lineEnv {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	e := &lineEnv{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, sends: sends}
	e.in = protocol.LineInput{Tenant: "acme", Endpoint: "ep_1", ID: "l1", Since: start}
	for place := range n {
		e.in.Entries = append(e.in.Entries, entryOf(place))
	}
	e.SetStartTime(start)
	workflows.Register(e)
	e.register(protocol.JoinLineActivity, func(context.Context, protocol.LineStatus) error {
		e.joined = append(e.joined, e.Now().Sub(start).Round(time.Second))
		return nil
	})
	e.register(protocol.LeaveLineActivity, func(_ context.Context, line protocol.LineStatus) error {
		e.left = append(e.left, line.Waiting)
		if e.leaving != nil {
			e.leaving()
		}
		return nil
	})
	e.register(protocol.SendLineActivity, func(_ context.Context, in protocol.SendLineInput) (protocol.LineProgress, error) {
		if e.losing {
			e.losing = false
			require.False(t, in.Again)
			return protocol.LineProgress{}, temporal.NewNonRetryableApplicationError("lost", "", nil)
		}
		send := e.sends[0]
		e.sends = e.sends[1:]
		return send(in), nil
	})
	e.register(protocol.HandOverActivity, func(_ context.Context, in protocol.HandOverInput) error {
		e.handed = append(e.handed, in.Items...)
		return nil
	})
	e.register(protocol.SupersedeActivity, func(_ context.Context, in protocol.SupersedeInput) error {
		e.superseded = append(e.superseded, in.IDs...)
		return nil
	})
	e.OnUpsertTypedSearchAttributes(mock.Anything).Return(nil).Maybe()
	e.OnUpsertMemo(mock.Anything).Run(func(args mock.Arguments) {
		e.groups = append(e.groups, args.Get(0).(map[string]any)[protocol.MemoGroup].(protocol.Group))
	}).Return(nil).Maybe()
	return e
}

func (e *lineEnv) register(name string, f any) {
	e.RegisterActivityWithOptions(f, activity.RegisterOptions{Name: name})
}

// entryOf is an entry that the line carries.
func entryOf(place int) protocol.QueueEntry {
	id := fmt.Sprintf("evt_%d", place)
	return protocol.QueueEntry{DeliveryID: id + ".ep_1", At: start, Message: &postdate.Message{
		ID: id, Tenant: "acme", Type: "t", Timestamp: start, Data: json.RawMessage(`1`),
	}}
}

// named gives the entry at place an execution of its own.
func (e *lineEnv) named(place int) { e.in.Entries[place].Message = nil }

// call has the endpoint call the line after a while.
func (e *lineEnv) call(after time.Duration, superseded ...int) {
	e.RegisterDelayedCallback(func() {
		e.SignalWorkflow(protocol.SignalCall, protocol.Wake{Superseded: superseded})
	}, after)
}

// cancel cancels an entry after a while. The answer is filled in later.
func (e *lineEnv) cancel(after time.Duration, id string) *answer {
	got := &answer{t: e.t}
	e.RegisterDelayedCallback(func() { e.UpdateWorkflow(protocol.UpdateCancelWaiter, "", got, id) }, after)
	return got
}

func (e *lineEnv) run() (result protocol.LineResult) {
	e.t.Helper()
	e.ExecuteWorkflow(protocol.LineWorkflow, e.in)
	require.True(e.t, e.IsWorkflowCompleted())
	require.NoError(e.t, e.GetWorkflowError())
	require.NoError(e.t, e.GetWorkflowResult(&result))
	return result
}

// listed are the messages in the newest memo.
func (e *lineEnv) listed() (ids []string) {
	for _, event := range e.groups[len(e.groups)-1].Events {
		ids = append(ids, event.ID)
	}
	return ids
}

// came answers the places that are asked for so, and leaves the others to wait.
func came(outcomes map[int]postdate.Outcome) func(protocol.SendLineInput) protocol.LineProgress {
	return func(protocol.SendLineInput) protocol.LineProgress {
		progress := protocol.LineProgress{Made: map[int]postdate.Attempt{}}
		for place, outcome := range outcomes {
			progress.Made[place] = postdate.Attempt{Number: 1, At: start, Outcome: outcome}
		}
		return progress
	}
}

const accepted, notAccepted = postdate.Accepted, postdate.Failed

func TestLine_SendsWhenItIsCalled(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2, came(map[int]postdate.Outcome{0: accepted, 1: accepted}))
	e.call(time.Minute)
	require.Len(t, e.run().Delivered, 2)
	require.Equal(t, []time.Duration{0}, e.joined)
	require.Equal(t, []int{0}, e.left)
	require.Equal(t, []string{"evt_0", "evt_1"}, e.listed())
}

func TestLine_WaitsOnWithThoseForWhomNoTurnCame(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 3, came(map[int]postdate.Outcome{0: accepted}), func(in protocol.SendLineInput) protocol.LineProgress {
		require.Empty(t, in.Entries[0].DeliveryID, "of one that is over only the place")
		require.Equal(t, "evt_2.ep_1", in.Entries[2].DeliveryID)
		return came(map[int]postdate.Outcome{1: accepted, 2: accepted})(in)
	})
	e.call(time.Minute)
	e.call(2 * time.Minute)
	require.Len(t, e.run().Delivered, 3)
	require.Equal(t, []int{2, 0}, e.left)
}

func TestLine_HandsOverWhatFailed(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2, came(map[int]postdate.Outcome{0: notAccepted, 1: accepted}))
	e.call(time.Minute)
	result := e.run()
	require.Len(t, result.Delivered, 1)
	require.Contains(t, result.Delivered, 1)
	require.Len(t, e.handed, 1)
	require.Equal(t, "ep_1", e.handed[0].Endpoint)
	require.Equal(t, notAccepted, e.handed[0].Attempts.Last().Outcome)
	require.Equal(t, []string{"evt_1"}, e.listed())
}

func TestLine_HandsOverOnlyWhatWasNotYet(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 3, func(in protocol.SendLineInput) protocol.LineProgress {
		progress := came(map[int]postdate.Outcome{0: notAccepted, 1: accepted})(in)
		progress.Moved = []int{2}
		return progress
	})
	e.call(time.Minute)
	require.Len(t, e.run().Delivered, 1)
	require.Len(t, e.handed, 1)
	require.Zero(t, e.handed[0].Event)
	require.Equal(t, []int{0}, e.left)
	require.Equal(t, []string{"evt_1"}, e.listed())
}

func TestLine_TellsThatACallWasLost(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 1, func(in protocol.SendLineInput) protocol.LineProgress {
		require.True(t, in.Again)
		return came(map[int]postdate.Outcome{0: accepted})(in)
	})
	e.losing = true
	e.call(time.Minute)
	e.call(2 * time.Minute)
	require.Len(t, e.run().Delivered, 1)
}

func TestLine_IsLeftByThoseWhoWereTold(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2, func(in protocol.SendLineInput) protocol.LineProgress {
		progress := came(map[int]postdate.Outcome{1: accepted})(in)
		progress.Moved = []int{0}
		return progress
	})
	e.named(0)
	e.call(time.Minute)
	require.Len(t, e.run().Delivered, 1)
	require.Equal(t, []int{0}, e.left)
	require.Empty(t, e.handed)
}

func TestLine_CancelsWhoWaits(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2, came(map[int]postdate.Outcome{1: accepted}))
	first, again := e.cancel(time.Minute, "evt_0.ep_1"), e.cancel(2*time.Minute, "evt_0.ep_1")
	unknown := e.cancel(2*time.Minute, "evt_7.ep_1")
	e.call(3 * time.Minute)
	result := e.run()
	require.Equal(t, map[int]string{0: "cancelled"}, result.Cancelled)
	require.WithinDuration(t, start.Add(time.Minute), result.CancelledAt[0], time.Second)
	require.Equal(t, postdate.Cancelled, first.result.State)
	require.Equal(t, postdate.Cancelled, again.result.State, "twice is answered alike")
	require.Equal(t, postdate.NotFound, unknown.refusal.Code)
	last := e.groups[len(e.groups)-1].Events
	require.Equal(t, []string{"cancelled", ""}, []string{last[0].Cancelled, last[1].Cancelled})
	require.Equal(t, result.CancelledAt[0], last[0].CancelledAt.UTC())
}

func TestLine_CancelsWhoWaitsWhileOthersAreBeingSent(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2)
	waiting := &answer{t: t}
	e.sends = append(e.sends, func(protocol.SendLineInput) protocol.LineProgress {
		e.UpdateWorkflow(protocol.UpdateCancelWaiter, "1", waiting, "evt_1.ep_1")
		return protocol.LineProgress{}
	}, came(map[int]postdate.Outcome{0: accepted}))
	e.call(time.Minute)
	e.call(2 * time.Minute)
	result := e.run()
	require.Equal(t, postdate.Cancelled, waiting.result.State)
	require.Contains(t, result.Cancelled, 1)
	require.Contains(t, result.Delivered, 0, "it is called again")
	require.Equal(t, []int{1, 0}, e.left)
}

func TestLine_GivesUpWhatNewerMessagesTookThePlaceOf(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 3, came(map[int]postdate.Outcome{2: accepted}))
	e.named(1)
	e.call(time.Minute, 0, 1, 99)
	result := e.run()
	require.Equal(t, map[int]string{0: "a newer message took its place"}, result.Cancelled)
	require.Equal(t, []string{"evt_1.ep_1"}, e.superseded)
	require.Len(t, result.Delivered, 1)
}

func TestLine_JoinsAgainInCaseItWasForgotten(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 1, came(map[int]postdate.Outcome{0: accepted}))
	e.call(25 * time.Minute)
	e.run()
	require.Equal(t, []time.Duration{0, 10 * time.Minute, 20 * time.Minute}, e.joined)
}

func TestLine_TellsOfThoseWhoseEndpointWasDeleted(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 1, came(map[int]postdate.Outcome{0: protocol.EndpointDeleted}))
	e.call(time.Minute)
	require.Equal(t, map[int]string{0: "the endpoint was deleted"}, e.run().Cancelled)
}

func TestLine_SendsAgainWhereACallCameToNothing(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 1, came(nil), came(map[int]postdate.Outcome{0: accepted}))
	e.call(time.Minute)
	e.call(2 * time.Minute)
	require.Len(t, e.run().Delivered, 1)
	require.Equal(t, []int{1, 0}, e.left)
}
