package deliveries_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/internal/ingest"
	"github.com/postdate/postdate/protocol"
)

// importedTogether starts lines of an import that share an execution.
func importedTogether(a *deliverytest.Tenant, name string, due time.Time, n int, change ...func(n int, in *protocol.DeliverInput)) (ids []string, workflowID string) {
	a.T.Helper()
	lines := make([]ingest.Line, n)
	for n := range lines {
		lines[n] = a.Line(n+1, name, due)
		for _, each := range change {
			each(n, &lines[n].Input)
		}
	}
	for _, r := range a.AcceptLines(a.T.Context(), ingest.NewImportSpan(ingest.NewImport(a.Name, name, false), 1), lines) {
		require.NoError(a.T, r.Err)
		ids = append(ids, r.ID)
	}
	return ids, protocol.ScheduleGroupID(a.Name, strings.TrimPrefix(ids[0], "sch_")[:32])
}

// operate does something to all deliveries of an import, and returns what came of it.
func operate(a *deliverytest.Tenant, id string, in protocol.SweepInput) (progress protocol.SweepProgress) {
	a.T.Helper()
	in.Filter.Tenant = a.Name
	require.NoError(a.T, a.StartOperation(a.T.Context(), a.Name, id, in))
	require.NoError(a.T, deliverytest.Temporal.GetWorkflow(a.T.Context(), protocol.SweepID(a.Name, id), "").Get(a.T.Context(), &progress))
	return progress
}

// counted waits until an import has so many schedules in each state.
func counted(a *deliverytest.Tenant, name string, want map[postdate.State]int) {
	a.T.Helper()
	var counts map[postdate.State]int
	eventually.True(a.T, func() bool {
		var err error
		counts, err = a.CountImport(a.T.Context(), a.Name, name)
		if err != nil || len(counts) != len(want) {
			return false
		}
		for state, n := range want {
			if counts[state] != n {
				return false
			}
		}
		return true
	}, "%s: %v wanted: %v", name, want, &counts)
}

// updates is how many Updates the runs of an execution have accepted.
func updates(a *deliverytest.Tenant, workflowID string) int {
	a.T.Helper()
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(a.T.Context(), workflowID, "")
	require.NoError(a.T, err)
	events := deliverytest.Temporal.GetWorkflowHistory(a.T.Context(), workflowID, described.GetWorkflowExecutionInfo().GetFirstRunId(), false, 1)
	n := 0
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(a.T, err)
		if event.GetWorkflowExecutionUpdateAcceptedEventAttributes() != nil {
			n++
		}
	}
	return n
}

// What is due soon may be sent meanwhile: its group decides.
func TestImport_WhatSharesAnExecutionIsCancelledByOneUpdate(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	ids, group := importedTogether(a, "one", nextSecond(40*time.Second), 40)
	importedTogether(a, "two", nextSecond(time.Hour), 3)
	counted(a, "one", map[postdate.State]int{postdate.Scheduled: 40})
	require.Equal(t, protocol.SweepProgress{Found: 40, Done: 40}, operate(a, "swp_1", protocol.SweepInput{
		Action: protocol.SweepCancel, Filter: postdate.Filter{Import: "one"},
	}))
	require.Equal(t, 1, updates(a, group))
	counted(a, "one", map[postdate.State]int{postdate.Cancelled: 40})
	counted(a, "two", map[postdate.State]int{postdate.Scheduled: 3})
	for _, id := range ids {
		a.Becomes(id, postdate.Cancelled)
	}
	historytest.Record(t, deliverytest.Temporal, "schedulegroup/cancelled-all-at-once", group, "")
	require.Zero(t, operate(a, "swp_2", protocol.SweepInput{Action: protocol.SweepCancel, Filter: postdate.Filter{Import: "one"}}).Done)
}

func TestImport_SomeOfAGroupAreCancelledByOneUpdate(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	due := nextSecond(5 * time.Second)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	ids, group := importedTogether(a, "some", due, 10, func(n int, in *protocol.DeliverInput) {
		in.Shipment.To = postdate.Destination{Endpoint: endpoint}
		if n%2 == 0 {
			in.Shipment.Message.Entity = "even"
		}
	})
	a.Listed(5, postdate.Filter{Import: "some", Entity: "even"})
	require.NoError(t, a.Update(t.Context(), a.Name, ids[0], protocol.UpdateFire))
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[1]))
	changed, err := a.CancelGrouped(t.Context(), a.Name, strings.TrimPrefix(ids[0], "sch_")[:32], []int{0, 1, 2, 4, 6, 8}, "op")
	require.NoError(t, err)
	require.Equal(t, protocol.SchedulesChanged{Done: []int{1, 2, 4, 6, 8}, Moved: []int{0}}, changed)
	for _, n := range []int{3, 5, 7, 9} {
		a.Becomes(ids[n], postdate.Delivered)
	}
	counted(a, "some", map[postdate.State]int{postdate.Cancelled: 5, postdate.Delivered: 5})
	changed, err = a.CancelGrouped(t.Context(), a.Name, strings.TrimPrefix(ids[0], "sch_")[:32], []int{2, 3}, "op")
	require.NoError(t, err)
	require.Equal(t, []int{2, 3}, changed.Moved, "the group has ended")
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	historytest.Record(t, deliverytest.Temporal, "schedulegroup/some-cancelled-at-once", group, described.GetWorkflowExecutionInfo().GetFirstRunId())
}

func TestImport_IsPutOffTogetherAndOnce(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	due := nextSecond(time.Hour)
	ids, group := importedTogether(a, "late", due, 30)
	counted(a, "late", map[postdate.State]int{postdate.Scheduled: 30})
	began := time.Now()
	postpone := func(operation string) protocol.SchedulesChanged {
		places := make([]int, 30)
		for n := range places {
			places[n] = n
		}
		changed, err := a.PostponeGrouped(t.Context(), a.Name, strings.TrimPrefix(ids[0], "sch_")[:32], places, operation, 24*time.Hour)
		require.NoError(t, err)
		return changed
	}
	require.Len(t, postpone("op").Done, 30)
	require.Len(t, postpone("op").Done, 30, "it was done")
	require.NoError(t, a.PostponeDelivery(t.Context(), a.Name, ids[3], "op", began, 24*time.Hour))
	for _, id := range ids {
		read, err := a.Get(t.Context(), a.Name, id)
		require.NoError(t, err)
		require.Equal(t, due.Add(24*time.Hour), read.DueAt)
		require.Equal(t, postdate.Scheduled, read.State)
		require.Equal(t, group, read.Execution.WorkflowID, "they stay together")
	}
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	info := described.GetWorkflowExecutionInfo()
	require.Equal(t, due.Add(24*time.Hour), info.GetExecutionTime().AsTime().Round(time.Second))
	historytest.Record(t, deliverytest.Temporal, "schedulegroup/postponed-together", group, info.GetFirstRunId())

	before := due.Add(24 * time.Hour)
	a.Listed(0, postdate.Filter{Import: "late", DueBefore: &before})
	require.Equal(t, protocol.SweepProgress{Found: 30, Done: 30}, operate(a, "swp_1", protocol.SweepInput{
		Action: protocol.SweepPostpone, Filter: postdate.Filter{Import: "late"}, By: postdate.Duration(time.Hour),
	}))
	require.Equal(t, due.Add(25*time.Hour), a.Becomes(ids[9], postdate.Scheduled).DueAt)
}

func TestImport_SomeOfAGroupArePutOff(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	due := nextSecond(time.Hour)
	ids, group := importedTogether(a, "apart", due, 6, func(n int, in *protocol.DeliverInput) {
		switch n {
		case 0, 1:
			in.Shipment.Message.Entity = "e"
		case 2:
			in.ExpiresAt = due.Add(time.Hour)
		}
	})
	a.Listed(2, postdate.Filter{Import: "apart", Entity: "e"})
	operation := protocol.SweepInput{Action: protocol.SweepPostpone, Filter: postdate.Filter{Import: "apart", Entity: "e"}, By: postdate.Duration(24 * time.Hour)}
	require.Equal(t, protocol.SweepProgress{Found: 2, Done: 2}, operate(a, "swp_1", operation))
	for n, id := range ids {
		read, err := a.Get(t.Context(), a.Name, id)
		require.NoError(t, err)
		if n < 2 {
			require.Equal(t, due.Add(24*time.Hour), read.DueAt)
			require.Equal(t, "apart", read.Import)
			require.NotEqual(t, group, read.Execution.WorkflowID)
		} else {
			require.Equal(t, due, read.DueAt)
		}
	}
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	historytest.Record(t, deliverytest.Temporal, "schedulegroup/some-postponed-at-once", group, described.GetWorkflowExecutionInfo().GetFirstRunId())
	counted(a, "apart", map[postdate.State]int{postdate.Scheduled: 6})
	operation.Filter.Entity = ""
	require.Equal(t, protocol.SweepProgress{Found: 6, Done: 5, Skipped: 1}, operate(a, "swp_2", operation), "one would expire first")
	counted(a, "apart", map[postdate.State]int{postdate.Scheduled: 6})
}

// What is put off as one of a burst is woken as late as before.
func TestImport_APutOffBurstStaysOne(t *testing.T) {
	t.Parallel()
	a := deliverytest.NewWith(t, deliverytest.Options{BurstPerSecond: 1})
	due := nextSecond(time.Hour)
	late := func(group string) time.Duration {
		described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
		require.NoError(t, err)
		return described.GetWorkflowExecutionInfo().GetExecutionTime().AsTime().Sub(due).Round(time.Second)
	}
	var groups []string
	for _, name := range []string{"burst-1", "burst-2", "burst-3"} {
		_, group := importedTogether(a, name, due, 2)
		groups = append(groups, group)
	}
	require.Equal(t, 2*time.Second, late(groups[2]))
	changed, err := a.PostponeGrouped(t.Context(), a.Name, strings.TrimPrefix(groups[2], "schedules/"+a.Name+"/"), []int{0, 1}, "op", time.Hour)
	require.NoError(t, err)
	require.Equal(t, []int{0, 1}, changed.Done)
	eventually.True(t, func() bool { return late(groups[2]) == time.Hour+2*time.Second })
}
