package ledger_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/client"
	sdk "go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/workflows"
)

// slowLine is a line of which a test decides when it is called, and when what was
// sent is done. It keeps to what a Line shows of itself.
type slowLine struct {
	t     *tenant
	queue string
	done  chan struct{}
	line  workflows.LineInput
	memo  workflows.Group
}

// newSlowLine has deliveries of an event wait, which left their groups for it. The
// first of them is answered status.
func newSlowLine(t *tenant, endpoint string, status int, events ...string) *slowLine {
	t.t.Helper()
	now := time.Now().UTC()
	s := &slowLine{t: t, queue: uuid.NewString(), done: make(chan struct{}), memo: workflows.Group{At: now}}
	s.line = workflows.LineInput{Tenant: t.name, Endpoint: endpoint, ID: uuid.NewString(), Since: now}
	for _, id := range events {
		s.line.Waiters = append(s.line.Waiters, activities.Waiter{
			DeliveryID: id + "." + endpoint, At: now,
			Message: &postdate.Message{ID: id, Tenant: t.name, Type: "t", Entity: id, Timestamp: now},
		})
		s.memo.Events = append(s.memo.Events, workflows.GroupedEvent{ID: id, Type: "t", Entity: id, Endpoints: []string{endpoint}, At: now})
	}
	w := worker.New(temporal, s.queue, worker.Options{})
	w.RegisterWorkflowWithOptions(s.run, workflow.RegisterOptions{Name: workflows.LineName})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, in workflows.DispatchInput) (*workflows.DispatchResult, error) {
		return &workflows.DispatchResult{Queued: []workflows.QueuedDelivery{{Endpoint: endpoint, Line: s.line.ID}}}, nil
	}, workflow.RegisterOptions{Name: workflows.DispatchName})
	w.RegisterActivityWithOptions(func(ctx context.Context) (activities.LineProgress, error) {
		progress := activities.LineProgress{Made: map[int]postdate.Attempt{0: attempt(status)}}
		for {
			activity.RecordHeartbeat(ctx, progress)
			select {
			case <-s.done:
				progress.Made[1] = attempt(http.StatusOK)
				return progress, nil
			case <-ctx.Done():
				return progress, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}, activity.RegisterOptions{Name: activities.SendLineName})
	require.NoError(t.t, w.Start())
	t.t.Cleanup(w.Stop)
	for _, id := range events {
		publication := workflows.Publication{
			Message: postdate.Message{ID: id, Tenant: t.name, Type: "t", Entity: id, Timestamp: now}, Endpoints: []string{endpoint},
		}
		in := workflows.DispatchInput{At: now, Events: []workflows.Publication{publication}}
		kept := in.Group()
		kept.Events[0].Endpoints = nil // it has left
		s.start(workflows.EventID(t.name, id), workflows.DispatchName, in, kept)
	}
	s.start(workflows.LineID(t.name, endpoint, s.line.ID), workflows.LineName, s.line, s.memo,
		workflows.State.ValueSet(string(postdate.Waiting)), workflows.Endpoint.ValueSet([]string{endpoint}))
	return s
}

func (s *slowLine) start(id, name string, in any, memo workflows.Group, attributes ...sdk.SearchAttributeUpdate) {
	s.t.t.Helper()
	_, err := temporal.ExecuteWorkflow(s.t.t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: s.queue, Memo: map[string]any{workflows.MemoGroup: memo},
		TypedSearchAttributes: sdk.NewSearchAttributes(append(attributes, workflows.Tenant.ValueSet(s.t.name))...),
	}, name, in)
	require.NoError(s.t.t, err)
}

func (s *slowLine) call() {
	s.t.t.Helper()
	id := workflows.LineID(s.t.name, s.line.Endpoint, s.line.ID)
	require.NoError(s.t.t, temporal.SignalWorkflow(s.t.t.Context(), id, "", workflows.SignalCall, workflows.Call{}))
}

func (s *slowLine) run(ctx workflow.Context, in workflows.LineInput) (*workflows.LineResult, error) {
	result := &workflows.LineResult{Delivered: map[int]postdate.Attempt{}, Cancelled: map[int]string{}}
	err := workflow.SetUpdateHandler(ctx, workflows.UpdateCancelWaiter, func(_ workflow.Context, id string) (workflows.Standing, error) {
		for place, waiter := range in.Waiters {
			if waiter.DeliveryID == id {
				result.Cancelled[place] = "asked for"
			}
		}
		return workflows.Standing{State: postdate.Cancelled}, nil
	})
	if err != nil {
		return nil, err
	}
	workflow.GetSignalChannel(ctx, workflows.SignalCall).Receive(ctx, nil)
	_ = workflow.UpsertTypedSearchAttributes(ctx, workflows.State.ValueSet(string(postdate.Sending)))
	var progress activities.LineProgress
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second})
	if err := workflow.ExecuteActivity(ctx, activities.SendLineName).Get(ctx, &progress); err != nil {
		return nil, err
	}
	result.Delivered = progress.Made
	group := s.memo
	for place := range result.Cancelled {
		group.Events[place].Cancelled = "asked for"
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, workflows.State.ValueSet(string(postdate.Cancelled)))
	return result, workflow.UpsertMemo(ctx, map[string]any{workflows.MemoGroup: group})
}

func TestLine_WhatWaitsInItIsFoundThere(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("never", answering(http.StatusOK))
	s := newSlowLine(a, endpoint, http.StatusOK, "e0", "e1", "e2")
	first, second, third := "e0."+endpoint, "e1."+endpoint, "e2."+endpoint
	list := func(state postdate.State) []string {
		rows := a.pages(postdate.Filter{Tenant: a.name, State: state, Endpoint: endpoint}, 10)
		return ids(rows)
	}

	a.listed(3, postdate.Filter{})
	a.listed(3, postdate.Filter{State: postdate.Waiting, Endpoint: endpoint})
	seen := a.becomes(second, postdate.Waiting)
	require.Equal(t, "waits for its turn at the endpoint", seen.Reason(time.Now()))
	require.Equal(t, "e1", seen.Input.Shipment.Message.ID)
	event, err := a.LookEvent(t.Context(), a.name, "e1")
	require.NoError(t, err)
	require.Equal(t, postdate.Waiting, event.Deliveries[0].State)

	require.NoError(t, a.CancelDelivery(t.Context(), a.name, third))
	require.NoError(t, a.CancelDelivery(t.Context(), a.name, third), "twice is answered alike")
	a.becomes(third, postdate.Cancelled)

	s.call()
	require.Len(t, a.becomes(first, postdate.Delivered).Attempts, 1)
	a.becomes(second, postdate.Waiting)
	require.Eventually(t, func() bool {
		return len(list(postdate.Delivered)) == 1 && len(list(postdate.Waiting)) == 1
	}, 15*time.Second, 20*time.Millisecond)

	close(s.done)
	require.Equal(t, http.StatusOK, a.becomes(second, postdate.Delivered).Attempts.Last().Status)
	require.Equal(t, "asked for", a.becomes(third, postdate.Cancelled).Reason(time.Now()))
	require.Eventually(t, func() bool {
		return len(list(postdate.Delivered)) == 2 && len(list(postdate.Cancelled)) == 1 && len(list(postdate.Waiting)) == 0
	}, 15*time.Second, 20*time.Millisecond)
	require.Len(t, list(""), 3)
}

func TestLine_WhatFailedInItIsSeenUntilItLeaves(t *testing.T) {
	t.Parallel()
	a := newTenant(t)
	endpoint := a.endpoint("never", answering(http.StatusOK))
	s := newSlowLine(a, endpoint, http.StatusServiceUnavailable, "e0", "e1")
	first := "e0." + endpoint
	a.listed(2, postdate.Filter{State: postdate.Waiting})

	s.call()
	seen := a.becomes(first, postdate.Retrying)
	require.Equal(t, http.StatusServiceUnavailable, seen.Attempts.Last().Status)
	require.Equal(t, "HTTP 503 Service Unavailable", seen.Reason(time.Now()))
	require.Zero(t, seen.EndedAt())
	a.listed(1, postdate.Filter{State: postdate.Retrying})
	a.listed(2, postdate.Filter{})
	event, err := a.LookEvent(t.Context(), a.name, "e0")
	require.NoError(t, err)
	require.Equal(t, postdate.Retrying, event.Deliveries[0].State)

	require.NoError(t, a.StartDelivery(t.Context(), activities.Handover{
		Shipment: activities.Shipment{DeliveryID: first, Message: *s.line.Waiters[0].Message, To: postdate.Destination{Endpoint: endpoint}},
		Retry:    postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}}, At: s.line.Since,
		Attempts: postdate.Attempts{attempt(http.StatusServiceUnavailable)},
	}))
	require.Eventually(t, func() bool {
		rows := a.pages(postdate.Filter{Tenant: a.name, State: postdate.Retrying}, 10)
		return len(rows) == 1 && rows[0].Info.GetExecution().GetWorkflowId() == workflows.DeliveryID(a.name, first)
	}, 15*time.Second, 20*time.Millisecond, "it is in two executions by now, and shown once")
	a.listed(2, postdate.Filter{})
}
