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
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// slowLine is a line that the test wakes, and whose attempts end when the test says. It
// shows of itself what a Line does.
type slowLine struct {
	*deliverytest.Tenant

	queue string
	done  chan struct{}
	line  protocol.LineInput
	memo  protocol.Group
}

// newSlowLine starts a line with deliveries of these events, which left their groups
// for it. The first of them is answered with this status.
func newSlowLine(a *deliverytest.Tenant, endpoint string, status int, events ...string) *slowLine {
	a.T.Helper()
	now := time.Now().UTC()
	s := &slowLine{Tenant: a, queue: uuid.NewString(), done: make(chan struct{}), memo: protocol.Group{At: now}}
	s.line = protocol.LineInput{Tenant: a.Name, Endpoint: endpoint, ID: uuid.NewString(), Since: now}
	for _, id := range events {
		s.line.Entries = append(s.line.Entries, protocol.QueueEntry{
			DeliveryID: id + "." + endpoint, At: now,
			Message: &postdate.Message{ID: id, Tenant: a.Name, Type: "t", Entity: id, Timestamp: now},
		})
		s.memo.Events = append(s.memo.Events, protocol.GroupedEvent{ID: id, Type: "t", Entity: id, Endpoints: []string{endpoint}, At: now})
	}
	w := worker.New(deliverytest.Temporal, s.queue, worker.Options{})
	w.RegisterWorkflowWithOptions(s.run, workflow.RegisterOptions{Name: protocol.LineWorkflow})
	w.RegisterWorkflowWithOptions(func(_ workflow.Context, in protocol.DispatchInput) (*protocol.DispatchResult, error) {
		return &protocol.DispatchResult{Queued: []protocol.QueuedDelivery{{Endpoint: endpoint, Line: s.line.ID}}}, nil
	}, workflow.RegisterOptions{Name: protocol.DispatchWorkflow})
	w.RegisterActivityWithOptions(func(ctx context.Context) (protocol.LineProgress, error) {
		progress := protocol.LineProgress{Made: map[int]postdate.Attempt{0: deliverytest.Attempt(status)}}
		for {
			activity.RecordHeartbeat(ctx, progress)
			select {
			case <-s.done:
				progress.Made[1] = deliverytest.Attempt(http.StatusOK)
				return progress, nil
			case <-ctx.Done():
				return progress, ctx.Err()
			case <-time.After(50 * time.Millisecond):
			}
		}
	}, activity.RegisterOptions{Name: protocol.SendLineActivity})
	require.NoError(a.T, w.Start())
	a.T.Cleanup(w.Stop)
	for _, id := range events {
		publication := protocol.Publication{
			Message: postdate.Message{ID: id, Tenant: a.Name, Type: "t", Entity: id, Timestamp: now}, Endpoints: []string{endpoint},
		}
		in := protocol.DispatchInput{At: now, Events: []protocol.Publication{publication}}
		kept := in.Group()
		kept.Events[0].Endpoints = nil // it has left
		s.start(protocol.EventID(a.Name, id), protocol.DispatchWorkflow, in, kept)
	}
	s.start(protocol.LineID(a.Name, endpoint, s.line.ID), protocol.LineWorkflow, s.line, s.memo,
		protocol.AttrState.ValueSet(string(postdate.Waiting)), protocol.AttrEndpoint.ValueSet([]string{endpoint}))
	return s
}

func (s *slowLine) start(id, name string, in any, memo protocol.Group, attributes ...sdk.SearchAttributeUpdate) {
	s.T.Helper()
	_, err := deliverytest.Temporal.ExecuteWorkflow(s.T.Context(), client.StartWorkflowOptions{
		ID: id, TaskQueue: s.queue, Memo: map[string]any{protocol.MemoGroup: memo},
		TypedSearchAttributes: sdk.NewSearchAttributes(append(attributes, protocol.AttrTenant.ValueSet(s.Name))...),
	}, name, in)
	require.NoError(s.T, err)
}

func (s *slowLine) wake() {
	s.T.Helper()
	id := protocol.LineID(s.Name, s.line.Endpoint, s.line.ID)
	require.NoError(s.T, deliverytest.Temporal.SignalWorkflow(s.T.Context(), id, "", protocol.SignalCall, protocol.Wake{}))
}

func (s *slowLine) run(ctx workflow.Context, in protocol.LineInput) (*protocol.LineResult, error) {
	result := &protocol.LineResult{Delivered: map[int]postdate.Attempt{}, Cancelled: map[int]string{}}
	err := workflow.SetUpdateHandler(ctx, protocol.UpdateCancelWaiter, func(_ workflow.Context, id string) (protocol.UpdateResult, error) {
		for place, entry := range in.Entries {
			if entry.DeliveryID == id {
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
	a := deliverytest.New(t)
	endpoint := a.Endpoint("never", deliverytest.Answering(http.StatusOK))
	s := newSlowLine(a, endpoint, http.StatusOK, "e0", "e1", "e2")
	first, second, third := "e0."+endpoint, "e1."+endpoint, "e2."+endpoint
	list := func(state postdate.State) []string {
		rows := a.Pages(postdate.Filter{Tenant: a.Name, State: state, Endpoint: endpoint}, 10)
		return deliverytest.IDs(rows)
	}

	a.Listed(3, postdate.Filter{})
	a.Listed(3, postdate.Filter{State: postdate.Waiting, Endpoint: endpoint})
	delivery := a.Becomes(second, postdate.Waiting)
	require.Equal(t, "waits for its turn at the endpoint", delivery.Reason)
	require.Equal(t, "e1", delivery.Message.ID)
	event, err := a.GetEvent(t.Context(), a.Name, "e1")
	require.NoError(t, err)
	require.Equal(t, postdate.Waiting, event.Deliveries[0].State)

	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, third))
	require.NoError(t, a.CancelDelivery(t.Context(), a.Name, third), "twice is answered alike")
	a.Becomes(third, postdate.Cancelled)

	s.wake()
	require.Len(t, a.Becomes(first, postdate.Delivered).Attempts, 1)
	a.Becomes(second, postdate.Waiting)
	eventually.True(t, func() bool {
		return len(list(postdate.Delivered)) == 1 && len(list(postdate.Waiting)) == 1
	})

	close(s.done)
	require.Equal(t, http.StatusOK, a.Becomes(second, postdate.Delivered).Attempts.Last().Status)
	require.Equal(t, "asked for", a.Becomes(third, postdate.Cancelled).Reason)
	eventually.True(t, func() bool {
		return len(list(postdate.Delivered)) == 2 && len(list(postdate.Cancelled)) == 1 && len(list(postdate.Waiting)) == 0
	})
	require.Len(t, list(""), 3)
}

func TestLine_WhatFailedInItIsSeenUntilItLeaves(t *testing.T) {
	t.Parallel()
	a := deliverytest.New(t)
	endpoint := a.Endpoint("never", deliverytest.Answering(http.StatusOK))
	s := newSlowLine(a, endpoint, http.StatusServiceUnavailable, "e0", "e1")
	first := "e0." + endpoint
	a.Listed(2, postdate.Filter{State: postdate.Waiting})

	s.wake()
	delivery := a.Becomes(first, postdate.Retrying)
	require.Equal(t, http.StatusServiceUnavailable, delivery.Attempts.Last().Status)
	require.Equal(t, "HTTP 503 Service Unavailable", delivery.Reason)
	require.Zero(t, delivery.EndedAt)
	a.Listed(1, postdate.Filter{State: postdate.Retrying})
	a.Listed(2, postdate.Filter{})
	event, err := a.GetEvent(t.Context(), a.Name, "e0")
	require.NoError(t, err)
	require.Equal(t, postdate.Retrying, event.Deliveries[0].State)

	require.NoError(t, a.StartDelivery(t.Context(), protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{DeliveryID: first, Message: *s.line.Entries[0].Message, To: postdate.Destination{Endpoint: endpoint}},
		Retry:    postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}},
		Attempts: postdate.Attempts{deliverytest.Attempt(http.StatusServiceUnavailable)}, Handed: true,
	}, protocol.Accepted{To: postdate.Destination{Endpoint: endpoint}, At: s.line.Since}))
	eventually.True(t, func() bool {
		rows := a.Pages(postdate.Filter{Tenant: a.Name, State: postdate.Retrying}, 10)
		return len(rows) == 1 && rows[0].Execution.WorkflowID == protocol.DeliveryID(a.Name, first)
	}, "it is in two executions, and shown once")
	a.Listed(2, postdate.Filter{})
}
