package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// runContinued runs the line until it continues as new, once it was woken, and returns
// the input of its next run.
func (e *lineEnv) runContinued() (next protocol.LineInput) {
	e.t.Helper()
	e.SetContinueAsNewSuggested(true)
	e.ExecuteWorkflow(protocol.LineWorkflow, e.in)
	require.True(e.t, e.IsWorkflowCompleted())
	var again *workflow.ContinueAsNewError
	require.ErrorAs(e.t, e.GetWorkflowError(), &again)
	require.Equal(e.t, protocol.LineWorkflow, again.WorkflowType.Name)
	require.NoError(e.t, dataConverter.FromPayloads(again.Input, &next))
	return next
}

func TestLine_CarriesAllIntoItsNextRun(t *testing.T) {
	t.Parallel()
	const delivered, failed, released, cancelled, superseded, supersededByName, unhurried, all = 0, 1, 2, 3, 4, 5, 6, 9
	e := newLineEnv(t, all, func(in protocol.SendLineInput) protocol.LineProgress {
		progress := came(map[int]postdate.Outcome{delivered: accepted, failed: notAccepted})(in)
		progress.Moved = []int{released}
		return progress
	})
	e.in.Coalesce = true
	e.in.Entries[unhurried].ExpiresAt = start.Add(time.Hour)
	e.named(released)
	e.named(supersededByName)
	e.cancel(time.Second, entryOf(cancelled).DeliveryID)
	e.call(time.Minute, superseded, supersededByName)
	next := e.runContinued()
	require.Equal(t, []int{3}, e.left)
	require.Len(t, e.handed, 1)
	require.Len(t, e.superseded, 1)
	require.Equal(t, e.in.Entries, next.Entries, "in their places")

	again := newLineEnv(t, 0, func(in protocol.SendLineInput) protocol.LineProgress {
		for place, w := range in.Entries {
			require.Equal(t, place >= unhurried, w.DeliveryID != "", "place %d is sent to once", place)
		}
		return came(map[int]postdate.Outcome{unhurried: accepted, 7: accepted, 8: notAccepted})(in)
	})
	again.in = next
	before := again.cancel(time.Second, entryOf(cancelled).DeliveryID)
	late := again.cancel(time.Second, entryOf(delivered).DeliveryID)
	again.call(time.Minute, superseded, supersededByName)
	result := again.run()
	require.Equal(t, []time.Duration{0}, again.joined)
	require.Equal(t, []int{0}, again.left)
	require.Equal(t, postdate.Cancelled, before.result.State)
	require.Equal(t, postdate.Conflict, late.refusal.Code)
	require.Empty(t, again.superseded)
	require.Len(t, again.handed, 1)
	require.Equal(t, 8, again.handed[0].Event)
	require.Equal(t, map[int]string{cancelled: "cancelled", superseded: "a newer message took its place"}, result.Cancelled)
	require.Len(t, result.Delivered, 3)
	for _, place := range []int{delivered, unhurried, 7} {
		require.Contains(t, result.Delivered, place)
	}
	require.Equal(t, []string{"evt_0", "evt_3", "evt_4", "evt_6", "evt_7"}, again.listed())
}

func TestLine_ACallThatComesAsItsRunEndsIsForTheNext(t *testing.T) {
	t.Parallel()
	e := newLineEnv(t, 2, came(map[int]postdate.Outcome{0: accepted}))
	e.call(time.Minute)
	e.leaving = func() { // there is a permit again, at once
		e.SignalWorkflow(protocol.SignalCall, protocol.Wake{Superseded: []int{1}})
	}
	again := newLineEnv(t, 0)
	again.in = e.runContinued()
	result := again.run()
	require.Less(t, again.Now().Sub(start), time.Minute, "nobody calls twice")
	require.Contains(t, result.Delivered, 0)
	require.Contains(t, result.Cancelled, 1)
}
