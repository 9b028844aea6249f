package pull_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// schedule starts a delivery with an execution of its own, which is due now.
func (s *shelf) schedule(id string, changes ...func(*protocol.DeliverInput)) {
	s.T.Helper()
	now := time.Now().UTC()
	in := protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: s.Name, Type: "t", Timestamp: now, Data: json.RawMessage(`"scheduled"`)},
			To:      postdate.Destination{Endpoint: s.endpoint}, DueAt: now,
		},
		Retry: postdate.Retry{Schedule: []postdate.Duration{0}},
	}
	for _, change := range changes {
		change(&in)
	}
	_, err := s.Start(s.T.Context(), in, protocol.Accepted{At: now, To: in.Shipment.To})
	require.NoError(s.T, err)
}

func TestPull_ScheduledMessagesWaitToo(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.schedule("pr_1")
	s.Becomes("pr_1", postdate.Waiting)
	leased := s.pull(1, long)
	require.Equal(t, "pr_1", leased[0].ID)
	require.JSONEq(t, `"scheduled"`, string(leased[0].Data))
	require.Equal(t, "attempt 1 is under way", s.Becomes("pr_1", postdate.Sending).Reason)
	require.Equal(t, 1, s.health().Leased)
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, leased...))
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, leased...), "repeated")
	require.Len(t, s.Becomes("pr_1", postdate.Delivered).Attempts, 1)
	s.lineEnds(leased[0])
	s.recordDelivery("deliver/pulled-and-acknowledged", "pr_1")
	s.recordLine("line/pulled-from-an-execution-of-its-own", leased[0])
}

func TestPull_WhatIsCancelledDoesNotCome(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(2)
	s.schedule("pr_1")
	s.Becomes("pr_1", postdate.Waiting)
	s.Becomes(ids[0], postdate.Waiting)
	require.NoError(t, s.CancelDelivery(t.Context(), s.Name, ids[0]))
	require.NoError(t, s.CancelDelivery(t.Context(), s.Name, "pr_1"))
	require.Equal(t, ids[1:], deliveryIDs(s.pull(10, long)))
	s.pullNothing()
	s.Becomes(ids[0], postdate.Cancelled)
	s.Becomes("pr_1", postdate.Cancelled)
}

func TestPull_OneOfCancelAndAcknowledgeWins(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(2)
	s.schedule("pr_1")
	leased := s.pullAll(3, long)
	require.NoError(t, s.CancelDelivery(t.Context(), s.Name, ids[0]))
	require.NoError(t, s.CancelDelivery(t.Context(), s.Name, "pr_1"))
	results := make(map[string]postdate.SettleResult)
	for i, result := range s.settle(postdate.Ack, leased...) {
		results[leased[i].DeliveryID] = result
	}
	require.Equal(t, map[string]postdate.SettleResult{
		ids[0]: postdate.LeaseCancelled, ids[1]: postdate.Acknowledged, "pr_1": postdate.LeaseCancelled,
	}, results)
	err := s.CancelDelivery(t.Context(), s.Name, ids[1])
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err), "%v", err)
	s.Becomes(ids[0], postdate.Cancelled)
	s.Becomes("pr_1", postdate.Cancelled)
	eventually.True(t, func() bool { return s.health().Leased == 0 })
	s.recordLine("line/cancelled-while-leased", leased[0])
	s.recordDelivery("deliver/cancelled-while-leased", "pr_1")
}

func TestPull_WhatIsRescheduledComesThen(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.schedule("pr_1")
	leased := s.pull(1, long)
	due := time.Now().UTC().Add(2 * time.Second)
	err := s.Update(t.Context(), s.Name, "pr_1", protocol.UpdateReschedule, postdate.Change{Data: json.RawMessage(`1`)})
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err), "a consumer has it as it was")
	require.NoError(t, s.Update(t.Context(), s.Name, "pr_1", protocol.UpdateReschedule, postdate.Change{DueAt: &due}))
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Ack, leased...))
	again := s.pull(1, long)
	require.False(t, time.Now().Before(due))
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, again...))
	s.Becomes("pr_1", postdate.Delivered)
	s.recordDelivery("deliver/rescheduled-while-leased", "pr_1")
}

func TestPull_WhatIsRescheduledWhileItWaitsComesThen(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.schedule("pr_1")
	s.Becomes("pr_1", postdate.Waiting)
	due := time.Now().UTC().Add(3 * time.Second)
	require.NoError(t, s.Update(t.Context(), s.Name, "pr_1", protocol.UpdateReschedule, postdate.Change{DueAt: &due}))
	again := s.pull(1, long)
	require.False(t, time.Now().Before(due))
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, again...))
	s.Becomes("pr_1", postdate.Delivered)
}

func TestPull_OnlyTheNewestComesWhereTheEndpointCoalesces(t *testing.T) {
	t.Parallel()
	s := newShelf(t, func(e *postdate.Endpoint) { e.Coalesce = true })
	older := s.publish(2)
	s.Becomes(older[0], postdate.Waiting)
	eventually.True(t, func() bool { return s.health().Waiting == 2 })
	newer := s.publish(1)
	eventually.True(t, func() bool { return s.health().Waiting == 2 })
	s.Becomes(newer[0], postdate.Waiting)
	got := s.pullAll(2, long)
	require.ElementsMatch(t, []string{older[1], newer[0]}, deliveryIDs(got))
	s.pullNothing()
	require.Equal(t, "a newer message took its place", s.Becomes(older[0], postdate.Cancelled).Reason)
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, got...))
	s.recordLine("line/pulled-and-coalesced", got[0])
}

func TestPull_WhatExpiresDoesNotCome(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	expires := time.Now().UTC().Add(2 * time.Second)
	request := s.EnqueueRequest(s.endpoint, "evt_1", json.RawMessage(`1`))
	request.Entry.ExpiresAt = expires
	lines, err := s.Enqueue(t.Context(), []protocol.EnqueueRequest{request})
	require.NoError(t, err)
	s.schedule("pr_1", func(in *protocol.DeliverInput) { in.ExpiresAt = expires })
	id := request.Entry.DeliveryID
	s.Becomes("pr_1", postdate.Waiting)
	eventually.True(t, func() bool { // until then it has no event, by which it is found
		delivery, err := s.Get(t.Context(), s.Name, id)
		return err == nil && delivery.State == postdate.Expired
	})
	require.Contains(t, s.Becomes(id, postdate.Expired).Reason, "before its first attempt")
	s.Becomes("pr_1", postdate.Expired)
	s.pullNothing()
	s.recordLine("line/expired-before-it-was-pulled", postdate.PulledMessage{Receipt: postdate.Receipt{
		Line: lines[0], Lease: "none", Attempt: 1, DeliveryID: id,
	}.String()})
}

func TestPull_EndsWithItsEndpoint(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(2)
	s.schedule("pr_1")
	leased := s.pullAll(3, long)
	waiting := s.publish(1)
	s.schedule("pr_2")
	s.Becomes("pr_2", postdate.Waiting)
	s.Becomes(waiting[0], postdate.Waiting)
	s.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints = nil })
	require.NoError(t, deliverytest.Temporal.SignalWorkflow(t.Context(), protocol.EndpointID(s.Name, s.endpoint), "", protocol.SignalSettings,
		protocol.EndpointSettings{Version: 1000}))
	for _, id := range []string{ids[0], ids[1], waiting[0], "pr_1", "pr_2"} {
		require.Equal(t, "the endpoint was deleted", s.Becomes(id, postdate.Cancelled).Reason, id)
	}
	s.recordLine("line/its-endpoint-was-deleted", leased[0])
	s.recordDelivery("deliver/its-endpoint-was-deleted-while-it-was-leased", "pr_1")
}
