package deliveries_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/historytest"
	"github.com/postdate/postdate/protocol"
)

// groupOf is the id of the group that carries a schedule.
func groupOf(id string) string { return strings.TrimPrefix(id, "sch_")[:32] }

// upTo are the places before n.
func upTo(n int) []int {
	places := make([]int, n)
	for place := range places {
		places[place] = place
	}
	return places
}

func TestImport_WhatSleepsIsCancelledByOneWrite(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	ids, group := importedTogether(a, "whole", nextSecond(time.Hour), 40)
	counted(a, "whole", map[postdate.State]int{postdate.Scheduled: 40})
	require.Equal(t, protocol.SweepProgress{Found: 40, Done: 40}, operate(a, "swp_1", protocol.SweepInput{
		Action: protocol.SweepCancel, Filter: postdate.Filter{Import: "whole"},
	}))
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	info := described.GetWorkflowExecutionInfo()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_TERMINATED, info.GetStatus())
	require.EqualValues(t, 2, info.GetHistoryLength())
	for _, id := range ids {
		read := a.Becomes(id, postdate.Cancelled)
		require.Equal(t, "cancelled by the operation swp_1", read.Reason)
		require.Equal(t, info.GetCloseTime().AsTime(), read.EndedAt)
	}
	counted(a, "whole", map[postdate.State]int{postdate.Cancelled: 40})
	a.Listed(40, postdate.Filter{State: postdate.Cancelled})
	for _, name := range []string{protocol.UpdateCancel, protocol.UpdateFire} {
		require.Equal(t, postdate.Conflict, postdate.CodeOf(a.Update(t.Context(), a.Name, ids[3], name)), name)
	}
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[3]), "it is")
	require.Equal(t, postdate.Conflict, postdate.CodeOf(a.PostponeDelivery(t.Context(), a.Name, ids[3], "op", time.Now(), time.Hour)))
	changed, err := a.CancelGrouped(t.Context(), a.Name, groupOf(ids[0]), upTo(40), "swp_1")
	require.NoError(t, err)
	require.Equal(t, upTo(40), changed.Done, "the answer to the first request was lost")
}

// What the operator ends in Temporal is told apart.
func TestImport_AnOperatorsEndIsNotAnOperations(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	ids, group := importedTogether(a, "ended", nextSecond(time.Hour), 2)
	require.NoError(t, deliverytest.Temporal.TerminateWorkflow(t.Context(), group, "", "too much of it"))
	require.Contains(t, a.Becomes(ids[0], postdate.Cancelled).Reason, "the operator")
	changed, err := a.CancelGrouped(t.Context(), a.Name, groupOf(ids[0]), upTo(2), "swp_1")
	require.NoError(t, err)
	require.Equal(t, upTo(2), changed.Moved, "each is looked for by itself")
}

// A group sleeps on as a new run when some of it are cancelled, or all are put off. What is left
// is cancelled by one write again.
func TestImport_WhatSleepsOnIsCancelledByOneWrite(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	ids, group := importedTogether(a, "on", nextSecond(time.Hour), 4)
	later := time.Now().UTC().Add(2 * time.Hour)
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[0]))
	require.NoError(t, a.Update(t.Context(), a.Name, ids[1], protocol.UpdateReschedule, postdate.Change{DueAt: &later}))
	_, err := a.PostponeGrouped(t.Context(), a.Name, groupOf(ids[0]), []int{2, 3}, "op", time.Hour)
	require.NoError(t, err)
	asleep(a, group)
	changed, err := a.CancelGrouped(t.Context(), a.Name, groupOf(ids[0]), upTo(4), "swp_1")
	require.NoError(t, err)
	require.Equal(t, protocol.SchedulesChanged{Done: []int{0, 2, 3}, Moved: []int{1}}, changed)
	require.Empty(t, a.Becomes(ids[0], postdate.Cancelled).Reason)
	require.Equal(t, "cancelled by the operation swp_1", a.Becomes(ids[2], postdate.Cancelled).Reason)
	a.Becomes(ids[1], postdate.Scheduled)
	counted(a, "on", map[postdate.State]int{postdate.Cancelled: 3, postdate.Scheduled: 1})
}

// asleep waits until a group sleeps in a run that nothing has woken.
func asleep(a *deliverytest.Tenant, group string) {
	a.T.Helper()
	require.Eventually(a.T, func() bool {
		described, err := deliverytest.Temporal.DescribeWorkflowExecution(a.T.Context(), group, "")
		return err == nil && described.GetWorkflowExecutionInfo().GetHistoryLength() == 1
	}, 15*time.Second, 20*time.Millisecond)
}

// interrupted is a client that does something before it ends an execution.
type interrupted struct {
	client.Client

	before func()
}

func (c *interrupted) TerminateWorkflow(ctx context.Context, id, run, reason string, details ...any) error {
	c.before()
	return c.Client.TerminateWorkflow(ctx, id, run, reason, details...)
}

// What comes between the look at a group, or at a list, and its end is recorded first, and
// stands.
func TestImport_WhatComesFirstStands(t *testing.T) {
	t.Parallel()
	for name, listed := range map[string]bool{"after a look": false, "after a list": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := deliverytest.New(t)
			endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
			ids, _ := importedTogether(a, "first", nextSecond(time.Hour), 4, func(_ int, in *protocol.DeliverInput) {
				in.Shipment.To = postdate.Destination{Endpoint: endpoint}
			})
			found := findGroup(a, 4, postdate.Filter{Import: "first"})
			if !listed {
				found.Run = ""
			}
			other := a.Process(deliverytest.Options{Client: &interrupted{deliverytest.Temporal, sync.OnceFunc(func() {
				require.NoError(t, a.Update(t.Context(), a.Name, ids[0], protocol.UpdateFire))
				require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[1]))
			})}})
			require.Equal(t, protocol.SchedulesChanged{Done: []int{1, 2, 3}, Moved: []int{0}}, cancelFound(other, found))
			a.Becomes(ids[0], postdate.Delivered)
			require.Empty(t, a.Becomes(ids[1], postdate.Cancelled).Reason, "nobody but its caller cancelled it")
			counted(a, "first", map[postdate.State]int{postdate.Delivered: 1, postdate.Cancelled: 3})
			a.Listed(4, postdate.Filter{Import: "first"})
		})
	}
}

// What is about to leave its group when that is ended is decided by an execution of its own,
// whoever starts it: the worker that still does, or the operation, which may be resumed.
func TestImport_WhatIsAboutToLeaveIsDecidedOnce(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"after a look", "after a list", "after a crash"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := deliverytest.New(t)
			began := time.Now().Add(-time.Second)
			ids, group := importedTogether(a, "leaving", nextSecond(time.Hour), 3)
			leaving, leave := make(chan struct{}), make(chan struct{})
			var once atomic.Bool
			a.BeforeStarts(func() {
				if once.CompareAndSwap(false, true) {
					close(leaving)
				}
				<-leave
			})
			fired := make(chan error, 1)
			fire := func() {
				go func() { fired <- a.Update(context.WithoutCancel(t.Context()), a.Name, ids[0], protocol.UpdateFire) }()
				<-leaving
			}
			found := findGroup(a, 3, postdate.Filter{Import: "leaving"})
			if name == "after a look" {
				found.Run = ""
			}
			if name == "after a crash" {
				fire()
				require.NoError(t, deliverytest.Temporal.TerminateWorkflow(t.Context(), group, "", protocol.CancelledBy("swp_1")))
				a.Listed(3, postdate.Filter{State: postdate.Cancelled})
				done, again, err := a.ResumeCancel(t.Context(), postdate.Filter{Tenant: a.Name, Import: "leaving"}, began)
				require.NoError(t, err)
				require.Equal(t, 2, done)
				require.Equal(t, ids[:1], again)
			} else {
				other := a.Process(deliverytest.Options{Client: &interrupted{deliverytest.Temporal, fire}})
				require.Equal(t, protocol.SchedulesChanged{Done: []int{1, 2}, Moved: []int{0}}, cancelFound(other, found))
			}
			// The caller of fire and the operation race for the delivery's own execution.
			cancelErr := a.CancelDelivery(t.Context(), a.Name, ids[0])
			fireErr := <-fired
			close(leave)
			// That it is fired is recorded before an attempt is made: a cancellation may come between.
			if cancelErr != nil {
				require.NoError(t, fireErr, "cancel: %v", cancelErr)
			} else {
				a.Becomes(ids[0], postdate.Cancelled)
				counted(a, "leaving", map[postdate.State]int{postdate.Cancelled: 3})
			}
			a.Listed(3, postdate.Filter{Import: "leaving"})
			historytest.Record(t, deliverytest.Temporal, "schedulegroup/ended-while-one-left", group, "")
		})
	}
}
