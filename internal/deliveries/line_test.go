package deliveries_test

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
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// slowLine is a line of which a test decides when it is called, and when what was
// sent is done. It keeps to what a Line shows of itself.
type slowLine struct {
	t     *tenant
	queue string
	done  chan struct{}
	line  protocol.LineInput
	memo  protocol.Group
}

// newSlowLine has deliveries of an event wait, which left their groups for it. The
// first of them is answered status.
func newSlowLine(t *tenant, endpoint string, status int, events ...string) *slowLine {
	t.t.Helper()
	now := time.Now().UTC()
	s := &slowLine{t: t, queue: uuid.NewString(), done: make(chan struct{}), memo: protocol.Group{At: now}}
	s.line = protocol.LineInput{Tenant: t.name, Endpoint: endpoint, ID: uuid.NewString(), Since: now}
	for _, id := range events {
		s.line.Entries = append(s.line.Entries, protocol.QueueEntry{
			DeliveryID: id + "." + endpoint, At: now,
			Message: &postdate.Message{ID: id, Tenant: t.name, Type: "t", Entity: id, Timestamp: now},
		})
		s.memo.Events = append(s.memo.Events, protocol.GroupedEvent{ID: id, Type: "t", Entity: id, Endpoints: []string{endpoint}, At: now})
	}
	w := worker.New(temporal, s.queue, worker.Options{})
	w.RegisterWorkflowWithOptions(s.run, workflow.RegisterOptions{Name: protocol.LineWorkflow})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, in protocol.DispatchInput) (*protocol.DispatchResult, error) {
		return &protocol.DispatchResult{Queued: []protocol.QueuedDelivery{{Endpoint: endpoint, Line: s.line.ID}}}, nil
	}, workflow.RegisterOptions{Name: protocol.DispatchWorkflow})
	w.RegisterActivityWithOptions(func(ctx context.Context) (protocol.LineProgress, error) {
		progress := protocol.LineProgress{Made: map[int]postdate.Attempt{0: attempt(status)}}
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
	}, activity.RegisterOptions{Name: protocol.SendLineActivity})
	require.NoError(t.t, w.Start())
	t.t.Cleanup(w.Stop)
	for _, id := range events {
		publication := protocol.Publication{
			Message: postdate.Message{ID: id, Tenant: t.name, Type: "t", Entity: id, Timestamp: now}, Endpoints: []string{endpoint},
		}
		in := protocol.DispatchInput{At: now, Events: []protocol.Publication{publication}}
		kept := in.Group()
		kept.Events[0].Endpoints = nil // it has left
		s.start(protocol.EventID(t.name, id), protocol.DispatchWorkflow, in, kept)
	}
	s.start(protocol.LineID(t.name, endpoint, s.line.ID), protocol.LineWorkflow, s.line, s.memo,
		protocol.AttrState.ValueSet(string(postdate.Waiting)), protocol.AttrEndpoint.ValueSet([]string{endpoint}))
	return s
}

func (s *slowLine) start(id, name string, in any, memo protocol.Group, attributes ...sdk.SearchAttributeUpdate) {
	s.t.t.Helper()
	_, err := temporal.ExecuteWorkflow(s.t.t.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: s.queue, Memo: map[string]any{protocol.MemoGroup: memo},
		TypedSearchAttributes: sdk.NewSearchAttributes(append(attributes, protocol.AttrTenant.ValueSet(s.t.name))...),
	}, name, in)
	require.NoError(s.t.t, err)
}

func (s *slowLine) call() {
	s.t.t.Helper()
	id := protocol.LineID(s.t.name, s.line.Endpoint, s.line.ID)
	require.NoError(s.t.t, temporal.SignalWorkflow(s.t.t.Context(), id, "", protocol.SignalCall, protocol.Wake{}))
}

func (s *slowLine) run(ctx workflow.Context, in protocol.LineInput) (*protocol.LineResult, error) {
	result := &protocol.LineResult{Delivered: map[int]postdate.Attempt{}, Cancelled: map[int]string{}}
	err := workflow.SetUpdateHandler(ctx, protocol.UpdateCancelWaiter, func(_ workflow.Context, id string) (protocol.UpdateResult, error) {
		for place, waiter := range in.Entries {
			if waiter.DeliveryID == id {
				result.Cancelled[place] = "asked for"
			}
		}
		return protocol.UpdateResult{State: postdate.Cancelled}, nil
	})
	if err != nil {
		return nil, err
	}
	workflow.GetSignalChannel(ctx, protocol.SignalCall).Receive(ctx, nil)
	_ = workflow.UpsertTypedSearchAttributes(ctx, protocol.AttrState.ValueSet(string(postdate.Sending)))
	var progress protocol.LineProgress
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{StartToCloseTimeout: time.Minute, HeartbeatTimeout: 10 * time.Second})
	if err := workflow.ExecuteActivity(ctx, protocol.SendLineActivity).Get(ctx, &progress); err != nil {
		return nil, err
	}
	result.Delivered = progress.Made
	group := s.memo
	for place := range result.Cancelled {
		group.Events[place].Cancelled = "asked for"
	}
	_ = workflow.UpsertTypedSearchAttributes(ctx, protocol.AttrState.ValueSet(string(postdate.Cancelled)))
	return result, workflow.UpsertMemo(ctx, map[string]any{protocol.MemoGroup: group})
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
	require.Equal(t, "waits for its turn at the endpoint", seen.Reason)
	require.Equal(t, "e1", seen.Message.ID)
	event, err := a.GetEvent(t.Context(), a.name, "e1")
	require.NoError(t, err)
	require.Equal(t, postdate.Waiting, event.Deliveries[0].State)

	require.NoError(t, a.CancelDelivery(t.Context(), a.name, third))
	require.NoError(t, a.CancelDelivery(t.Context(), a.name, third), "twice is answered alike")
	a.becomes(third, postdate.Cancelled)

	s.call()
	require.Len(t, a.becomes(first, postdate.Delivered).Attempts, 1)
	a.becomes(second, postdate.Waiting)
	eventually.True(t, func() bool {
		return len(list(postdate.Delivered)) == 1 && len(list(postdate.Waiting)) == 1
	}, 15*time.Second, 20*time.Millisecond)

	close(s.done)
	require.Equal(t, http.StatusOK, a.becomes(second, postdate.Delivered).Attempts.Last().Status)
	require.Equal(t, "asked for", a.becomes(third, postdate.Cancelled).Reason)
	eventually.True(t, func() bool {
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
	require.Equal(t, "HTTP 503 Service Unavailable", seen.Reason)
	require.Zero(t, seen.EndedAt)
	a.listed(1, postdate.Filter{State: postdate.Retrying})
	a.listed(2, postdate.Filter{})
	event, err := a.GetEvent(t.Context(), a.name, "e0")
	require.NoError(t, err)
	require.Equal(t, postdate.Retrying, event.Deliveries[0].State)

	require.NoError(t, a.StartDelivery(t.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{DeliveryID: first, Message: *s.line.Entries[0].Message, To: postdate.Destination{Endpoint: endpoint}},
		Retry:    postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}},
		Attempts: postdate.Attempts{attempt(http.StatusServiceUnavailable)}, Handed: true,
	}, protocol.Accepted{To: postdate.Destination{Endpoint: endpoint}, At: s.line.Since}))
	eventually.True(t, func() bool {
		rows := a.pages(postdate.Filter{Tenant: a.name, State: postdate.Retrying}, 10)
		return len(rows) == 1 && rows[0].Execution.WorkflowID == protocol.DeliveryID(a.name, first)
	}, 15*time.Second, 20*time.Millisecond, "it is in two executions by now, and shown once")
	a.listed(2, postdate.Filter{})
}
