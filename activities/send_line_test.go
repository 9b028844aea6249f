package activities_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
)

// lineOf are n messages that wait in line, each accepted a second after the last.
func lineOf(n int) activities.LineShipments {
	in := activities.LineShipments{Tenant: "acme", Endpoint: "ep_1"}
	for place := range n {
		id := fmt.Sprintf("evt_%d", place)
		in.Waiters = append(in.Waiters, activities.Waiter{
			DeliveryID: id + ".ep_1", At: now.Add(time.Duration(place) * time.Second), Message: &postdate.Message{ID: id, Tenant: "acme"},
		})
	}
	return in
}

func (w *world) sendLine(in activities.LineShipments) (progress activities.LineProgress) {
	w.t.Helper()
	require.NoError(w.t, w.run(activities.SendLineName, in, &progress))
	return progress
}

func TestSendLine_TakesTurnsInOrderAndSendsSideBySide(t *testing.T) {
	t.Parallel()
	const n = 20
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	var together sync.WaitGroup
	together.Add(n)
	w.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		together.Done()
		together.Wait() // until all of them are under way
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	progress := w.sendLine(lineOf(n))
	require.Len(t, progress.Made, n)
	require.Equal(t, 1, progress.Made[7].Number)
	require.Len(t, w.ended, n, "each turn ends once")
	for place, claim := range w.claims {
		require.True(t, claim.Called)
		require.Equal(t, now.Add(time.Duration(place)*time.Second), claim.Since)
	}
}

func TestSendLine_EndsWhereNoTurnComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	w.turns = func(activities.Claim) bool { return len(w.claims) < 2 }
	progress := w.sendLine(lineOf(5))
	require.Len(t, progress.Made, 2)
	require.Contains(t, progress.Made, 0)
	require.Contains(t, progress.Made, 1)
	require.Len(t, w.ended, 2)
}

func TestSendLine_GoesOnWhereItsLastWorkerDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	w.SetHeartbeatDetails(activities.LineProgress{
		Made: map[int]postdate.Attempt{0: {Number: 1, Outcome: postdate.Failed, Status: 500}}, Told: []int{1},
	})
	progress := w.sendLine(lineOf(3))
	require.Len(t, w.claims, 1, "what was made or told is not again")
	require.Equal(t, 500, progress.Made[0].Status)
	require.Equal(t, postdate.Accepted, progress.Made[2].Outcome)
	require.Equal(t, []int{1}, progress.Told)
}

func TestSendLine_SendsNothingToAnEndpointThatIsPaused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Paused))
	require.Empty(t, w.sendLine(lineOf(2)).Made)
	require.Empty(t, w.claims)
}

func TestSendLine_EndsAllWhereTheEndpointWasDeleted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := lineOf(3)
	in.Waiters[1].Message = nil
	progress := w.sendLine(in)
	require.Equal(t, postdate.Deleted, progress.Made[0].Outcome)
	require.Equal(t, postdate.Deleted, progress.Made[2].Outcome)
	require.Equal(t, []int{1}, progress.Told)
	require.Equal(t, []string{"evt_1.ep_1"}, w.released, "it finds that out itself")
}

func TestSendLine_TellsThoseThatHaveExecutionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(2)
	in.Waiters[0].Message = nil
	progress := w.sendLine(in)
	require.Equal(t, []int{0}, progress.Told)
	require.Len(t, progress.Made, 1)
	require.Equal(t, []string{"evt_0.ep_1"}, w.released)
	require.ElementsMatch(t, []postdate.Outcome{"", postdate.Accepted}, w.ended)
}

func TestSend_EndsItsTurnOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	s := shipment(postdate.Destination{Endpoint: "ep_1"})
	w.send(s)
	require.Equal(t, []postdate.Outcome{postdate.Accepted}, w.ended)
	require.Equal(t, []activities.Claim{{Since: s.DueAt}}, w.claims)

	w.turns = func(activities.Claim) bool { return false }
	require.Equal(t, postdate.Queued, w.send(s).Outcome)
	require.Len(t, w.ended, 1)
}
