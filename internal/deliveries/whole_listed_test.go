package deliveries_test

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// findGroup waits until a list shows schedules, all of one group, and returns what was found.
func findGroup(a *deliverytest.Tenant, n int, filter postdate.Filter) protocol.Found {
	a.T.Helper()
	filter.Tenant, filter.State = a.Name, postdate.Scheduled
	var found []protocol.Found
	eventually.True(a.T, func() bool {
		var err error
		found, err = a.Find(a.T.Context(), filter)
		return err == nil && len(found) == 1 && len(found[0].Places) == n
	}, "%d wanted: %v", n, &found)
	return found[0]
}

// cancelFound cancels what was found as an operation does, but for what has left its group.
func cancelFound(a *deliverytest.Tenant, found protocol.Found) (changed protocol.SchedulesChanged) {
	a.T.Helper()
	if len(a.CancelListed(a.T.Context(), a.Name, []protocol.Found{found}, "swp_1")) == 0 {
		return protocol.SchedulesChanged{Done: found.Places}
	}
	changed, err := a.CancelGrouped(a.T.Context(), a.Name, found.Group, found.Places, "swp_1")
	require.NoError(a.T, err)
	return changed
}

// watching is a client that counts the looks at executions, and does something before it lists
// some.
type watching struct {
	client.Client

	looks  atomic.Int64
	before func()
}

func (c *watching) DescribeWorkflowExecution(ctx context.Context, id, run string) (*workflowservice.DescribeWorkflowExecutionResponse, error) {
	c.looks.Add(1)
	return c.Client.DescribeWorkflowExecution(ctx, id, run)
}

func (c *watching) ListWorkflow(ctx context.Context, in *workflowservice.ListWorkflowExecutionsRequest) (*workflowservice.ListWorkflowExecutionsResponse, error) {
	c.before()
	return c.Client.ListWorkflow(ctx, in)
}

func TestImport_WhatWasListedIsEndedWithoutALook(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	due := nextSecond(time.Hour)
	ids, group := importedTogether(a, "listed", due, 4, func(n int, in *protocol.DeliverInput) {
		if n < 3 {
			in.Shipment.Message.Entity = "e"
		}
	})
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[1]))
	asleep(a, group)
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	run := described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	eventually.True(t, func() bool { return findGroup(a, 3, postdate.Filter{Import: "listed"}).Run == run })
	all := findGroup(a, 3, postdate.Filter{Import: "listed"})
	require.Equal(t, protocol.Found{Group: groupOf(ids[0]), Places: []int{0, 2, 3}, Run: run, DueAt: due}, all)
	some := findGroup(a, 2, postdate.Filter{Import: "listed", Entity: "e"})
	require.Equal(t, protocol.Found{Group: groupOf(ids[0]), Places: []int{0, 2}, DueAt: due}, some, "another waits")
	require.Equal(t, []protocol.Found{some}, a.CancelListed(t.Context(), a.Name, []protocol.Found{some}, "swp_0"))

	_, other := importedTogether(a, "other", due, 2)
	behind := findGroup(a, 2, postdate.Filter{Import: "other"})
	watched := &watching{Client: deliverytest.Temporal, before: func() { a.Listed(6, postdate.Filter{State: postdate.Cancelled}) }}
	process := a.Process(deliverytest.Options{Client: watched})
	require.Empty(t, process.CancelListed(t.Context(), a.Name, []protocol.Found{all, behind}, "swp_1"))
	require.Zero(t, watched.looks.Load())
	require.Empty(t, a.Becomes(ids[1], postdate.Cancelled).Reason)
	for _, n := range []int{0, 2, 3} {
		require.Equal(t, "cancelled by the operation swp_1", a.Becomes(ids[n], postdate.Cancelled).Reason)
		require.Equal(t, postdate.Conflict, postdate.CodeOf(a.Update(t.Context(), a.Name, ids[n], protocol.UpdateFire)))
	}
	counted(a, "listed", map[postdate.State]int{postdate.Cancelled: 4})
	described, err = deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), other, "")
	require.NoError(t, err)
	require.EqualValues(t, 2, described.GetWorkflowExecutionInfo().GetHistoryLength())
}

// What is due within a minute when its group is to be ended may be sent meanwhile, however long
// ago a list showed it: its group decides.
func TestImport_WhatIsDueSoonIsNotEndedAsItWasListed(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	ids, group := importedTogether(a, "soon", nextSecond(50*time.Second), 2)
	found := findGroup(a, 2, postdate.Filter{Import: "soon"})
	require.NotEmpty(t, found.Run)
	require.Equal(t, upTo(2), cancelFound(a, found).Done)
	require.Equal(t, 1, updates(a, group))
	require.Empty(t, a.Becomes(ids[0], postdate.Cancelled).Reason)
}

// What happened to a group since a list showed it stands, in the same run and in a later one.
func TestImport_WhatWasRequestedSinceTheListStands(t *testing.T) {
	t.Parallel()
	for name, settled := range map[string]bool{"in the same run": false, "in a later run": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := deliverytest.New(t)
			endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
			due := nextSecond(time.Hour)
			ids, group := importedTogether(a, "since", due, 5, func(_ int, in *protocol.DeliverInput) {
				in.Shipment.To = postdate.Destination{Endpoint: endpoint}
			})
			found := findGroup(a, 5, postdate.Filter{Import: "since"})
			soon := due.Add(-time.Minute)
			require.NoError(t, a.CancelDelivery(t.Context(), a.Name, ids[0]))
			require.NoError(t, a.Update(t.Context(), a.Name, ids[1], protocol.UpdateFire))
			require.NoError(t, a.Update(t.Context(), a.Name, ids[2], protocol.UpdateReschedule, postdate.Change{DueAt: &soon}))
			if settled {
				_, err := a.PostponeGrouped(t.Context(), a.Name, found.Group, []int{3, 4}, "op", time.Hour)
				require.NoError(t, err)
				asleep(a, group)
			}
			require.Equal(t, protocol.SchedulesChanged{Done: []int{0, 3, 4}, Moved: []int{1, 2}}, cancelFound(a, found))
			require.Empty(t, a.Becomes(ids[0], postdate.Cancelled).Reason, "its caller cancelled it")
			a.Becomes(ids[1], postdate.Delivered)
			require.Equal(t, soon, a.Becomes(ids[2], postdate.Scheduled).DueAt)
			require.Equal(t, "cancelled by the operation swp_1", a.Becomes(ids[3], postdate.Cancelled).Reason)
			counted(a, "since", map[postdate.State]int{postdate.Delivered: 1, postdate.Scheduled: 1, postdate.Cancelled: 3})
		})
	}
}

// One that fires, one that cancels and an operation ask for the same schedules at the same time,
// the operation on the strength of what a list showed before: each schedule ends in one way, and
// whoever came too late is refused.
func TestImport_WhatWasListedEndsOnceHoweverManyAsk(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("*", deliverytest.Answering(http.StatusOK))
	for n := range 10 {
		name := "race-" + strconv.Itoa(n)
		ids, _ := importedTogether(a, name, nextSecond(time.Hour), 3, func(_ int, in *protocol.DeliverInput) {
			in.Shipment.To = postdate.Destination{Endpoint: endpoint}
		})
		found := findGroup(a, 3, postdate.Filter{Import: name})
		var asking sync.WaitGroup
		var fireErr, cancelErr, sweepErr error
		asking.Go(func() { fireErr = a.Update(t.Context(), a.Name, ids[0], protocol.UpdateFire) })
		asking.Go(func() { cancelErr = a.CancelDelivery(t.Context(), a.Name, ids[1]) })
		asking.Go(func() {
			for _, place := range cancelFound(a, found).Moved {
				sweepErr = errors.Join(sweepErr, a.CancelDelivery(t.Context(), a.Name, ids[place]))
			}
		})
		asking.Wait()
		require.NoError(t, cancelErr)
		a.Becomes(ids[1], postdate.Cancelled)
		a.Becomes(ids[2], postdate.Cancelled)
		if sweepErr == nil {
			a.Becomes(ids[0], postdate.Cancelled) // even where it had been fired, if not sent yet
		} else {
			require.Equal(t, postdate.Conflict, postdate.CodeOf(sweepErr), sweepErr)
			a.Becomes(ids[0], postdate.Delivered)
		}
		if fireErr != nil { // it was cancelled; or the group was ended after it had left, which was found then
			require.Equal(t, postdate.Conflict, postdate.CodeOf(fireErr), fireErr)
		}
	}
}

// unanswered is a client that loses the answers to what ends an execution.
type unanswered struct{ client.Client }

func (c unanswered) TerminateWorkflow(ctx context.Context, id, run, reason string, details ...any) error {
	return errors.Join(errors.New("the connection is lost"), c.Client.TerminateWorkflow(ctx, id, run, reason, details...))
}

// A worker that is killed has not looked at what it ended, nor counted it.
func TestImport_WhatWasEndedWithoutALookIsFoundAgain(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	began := time.Now().Add(-time.Second)
	_, group := importedTogether(a, "lost", nextSecond(time.Hour), 3)
	found := findGroup(a, 3, postdate.Filter{Import: "lost"})
	process := a.Process(deliverytest.Options{Client: unanswered{deliverytest.Temporal}})
	require.Equal(t, []protocol.Found{found}, process.CancelListed(t.Context(), a.Name, []protocol.Found{found}, "swp_1"))
	a.Listed(3, postdate.Filter{State: postdate.Cancelled})
	done, again, err := a.ResumeCancel(t.Context(), postdate.Filter{Tenant: a.Name, Import: "lost"}, began)
	require.NoError(t, err)
	require.Equal(t, 3, done)
	require.Empty(t, again)
	require.Equal(t, upTo(3), cancelFound(a, found).Done, "a list that is behind shows it as it was")
	described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), group, "")
	require.NoError(t, err)
	require.EqualValues(t, 2, described.GetWorkflowExecutionInfo().GetHistoryLength())
}
