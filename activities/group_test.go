package activities_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func group(n int) protocol.GroupInput {
	in := protocol.GroupInput{At: now, Messages: []postdate.Message{
		{ID: "evt_1", Tenant: "acme", Type: "invoice.paid"}, {ID: "evt_2", Tenant: "acme", Type: "invoice.paid"},
	}}
	for i := range n {
		in.Items = append(in.Items, protocol.GroupItem{Event: i % 2, Endpoint: "ep_1"})
	}
	return in
}

func TestSendGroup_MakesAllAttemptsSideBySide(t *testing.T) {
	t.Parallel()
	const n = 80
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	var together sync.WaitGroup
	together.Add(n)
	f.answer = func(_ context.Context, m postdate.Message, _ postdate.Target) (postdate.Attempt, error) {
		together.Done()
		together.Wait() // until all of them are under way
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200, Response: m.ID}, nil
	}
	in := group(n)
	var made []postdate.Attempt
	require.NoError(t, f.run(protocol.SendGroupActivity, in, &made))
	require.Len(t, made, n)
	for i, each := range made {
		require.Equal(t, in.Messages[i%2].ID, each.Response, "answers are in the order of what was asked")
		require.Equal(t, 1, each.Number)
	}
}

func TestSendGroup_DoesNotFailForOne(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled), endpoint("ep_2", postdate.Paused))
	f.answer = func(_ context.Context, m postdate.Message, _ postdate.Target) (postdate.Attempt, error) {
		if m.ID == "evt_2" {
			return postdate.Attempt{}, errOurs
		}
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	in := group(2)
	in.Items = append(in.Items, protocol.GroupItem{Endpoint: "ep_2"}, protocol.GroupItem{Endpoint: "ep_3"})
	var made []postdate.Attempt
	require.NoError(t, f.run(protocol.SendGroupActivity, in, &made))
	var outcomes []postdate.Outcome
	for _, each := range made {
		outcomes = append(outcomes, each.Outcome)
	}
	require.Equal(t, []postdate.Outcome{postdate.Accepted, "", protocol.NotEnabled, protocol.EndpointDeleted}, outcomes)
}

func TestSendGroup_AnswersLessThanTheEngineTakes(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 500, Response: strings.Repeat("\x01", postdate.MaxResponse)}, nil
	}
	var made []postdate.Attempt
	require.NoError(t, f.run(protocol.SendGroupActivity, group(80), &made))
	encoded, err := json.Marshal(made)
	require.NoError(t, err)
	require.Less(t, len(encoded), 2_000_000)
	require.NoError(t, f.run(protocol.SendGroupActivity, group(1), &made))
	require.Len(t, made[0].Response, postdate.MaxResponse)
}

func TestSendGroup_TakesItsTurnsTogetherOrGoesInLine(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	f.permits = func(c throttle.PermitRequest) bool { return c.N <= 5 }
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	for n, outcome := range map[int]postdate.Outcome{5: postdate.Accepted, 6: protocol.NoPermit} {
		var made []postdate.Attempt
		require.NoError(t, f.run(protocol.SendGroupActivity, group(n), &made))
		require.Len(t, made, n)
		for _, each := range made {
			require.Equal(t, outcome, each.Outcome, "of %d", n)
		}
	}
	require.Len(t, f.ended, 5, "each ends its own")
}

func TestHandOver_StartsADeliveryForEachParcel(t *testing.T) {
	t.Parallel()
	e := endpoint("ep_1", postdate.Enabled)
	e.Retry, e.Timeout = &postdate.Retry{MaxAttempts: 3}, postdate.Duration(time.Second)
	f := newFakes(t, e)
	in := group(2)
	log := postdate.Attempts{{Number: 1, Outcome: postdate.Failed}}
	handing := protocol.HandOverInput{Messages: in.Messages, At: now, Items: []protocol.Undelivered{
		{GroupItem: in.Items[0], Attempts: log}, {GroupItem: protocol.GroupItem{Event: 1, Endpoint: "ep_deleted"}},
	}}
	for range 2 { // its worker may die and another one do it again
		require.NoError(t, f.run(protocol.HandOverActivity, handing, nil))
	}
	require.Equal(t, map[string]protocol.DeliverInput{
		"evt_1.ep_1": {
			Shipment: protocol.DeliveryTask{
				DeliveryID: "evt_1.ep_1", Message: in.Messages[0], To: postdate.Destination{Endpoint: "ep_1"}, DueAt: now, Timeout: e.Timeout,
			},
			Retry: e.Retry.WithDefaults(), Attempts: log, Handed: true,
		},
		"evt_2.ep_deleted": {
			Shipment: protocol.DeliveryTask{
				DeliveryID: "evt_2.ep_deleted", Message: in.Messages[1], To: postdate.Destination{Endpoint: "ep_deleted"}, DueAt: now,
			},
			Retry: postdate.Retry{}.WithDefaults(),
		},
	}, f.started)
}

func TestHandOver_IsTriedAgainWhereTheDirectoryIsAway(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	f.fault = errOurs
	require.ErrorContains(t, f.run(protocol.HandOverActivity, protocol.HandOverInput{
		Messages: group(0).Messages, Items: []protocol.Undelivered{{}},
	}, nil), errOurs.Error())
}
