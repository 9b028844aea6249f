package activities_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/worker"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// lineOf are n messages that wait in line, each accepted a second after the last.
func lineOf(n int) protocol.SendLineInput {
	in := protocol.SendLineInput{Tenant: "acme", Endpoint: "ep_1"}
	for place := range n {
		id := fmt.Sprintf("evt_%d", place)
		in.Entries = append(in.Entries, protocol.QueueEntry{
			DeliveryID: id + ".ep_1", At: now.Add(time.Duration(place) * time.Second), Message: &postdate.Message{ID: id, Tenant: "acme"},
		})
	}
	return in
}

func (w *fakes) sendLine(in protocol.SendLineInput) (progress protocol.LineProgress) {
	w.t.Helper()
	require.NoError(w.t, w.run(protocol.SendLineActivity, in, &progress))
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
	require.Empty(t, progress.Sending)
	require.Len(t, w.ended, n, "each turn ends once")
	for place, claim := range w.claims {
		require.True(t, claim.Dequeued)
		require.Equal(t, now.Add(time.Duration(place)*time.Second), claim.Since)
	}
}

func TestSendLine_EndsWhereNoTurnComes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	w.turns = func(throttle.PermitRequest) bool { return len(w.claims) < 2 }
	progress := w.sendLine(lineOf(5))
	require.Len(t, progress.Made, 2)
	require.Contains(t, progress.Made, 0)
	require.Contains(t, progress.Made, 1)
	require.Len(t, w.ended, 2)
}

func TestSendLine_GoesOnWhereItsLastWorkerDied(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(5)
	w.SetHeartbeatDetails(protocol.LineProgress{
		Made: map[int]postdate.Attempt{
			0: {Number: 1, Outcome: postdate.Failed, Status: 500}, 4: {Number: 1, Outcome: postdate.Accepted, Status: 200},
		}, Moved: []int{1},
	})
	w.started[in.Entries[3].DeliveryID] = protocol.DeliverInput{} // which it did not live to tell
	progress := w.sendLine(in)
	require.Len(t, w.claims, 1, "what was made or told is not again")
	require.Len(t, progress.Made, 2)
	require.Equal(t, postdate.Accepted, progress.Made[2].Outcome)
	require.Equal(t, 200, progress.Made[4].Status)
	require.ElementsMatch(t, []int{0, 1, 3}, progress.Moved)
	require.Equal(t, 500, w.started["evt_0.ep_1"].Attempts.Last().Status, "what failed is handed over")
}

func TestSendLine_HandsOverWhatFailsAtOnce(t *testing.T) {
	t.Parallel()
	e := endpoint("ep_1", postdate.Enabled)
	e.Retry = &postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}}
	w := newWorld(t, e)
	in, handed := lineOf(2), make(chan struct{})
	w.answer = func(_ context.Context, m postdate.Message, _ postdate.Target) (postdate.Attempt, error) {
		if m.ID == "evt_0" {
			return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503, RetryAfter: postdate.Duration(time.Minute)}, nil
		}
		<-handed // the call is not over yet
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	w.onStart = func() { close(handed) }
	progress := w.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
	require.Len(t, progress.Made, 1)
	require.Contains(t, progress.Made, 1)
	require.Len(t, w.started, 1)
	started := w.started["evt_0.ep_1"]
	require.Equal(t, *in.Entries[0].Message, started.Shipment.Message)
	require.Equal(t, in.Entries[0].At, started.Shipment.DueAt)
	require.Equal(t, e.Retry.Schedule, started.Retry.Schedule)
	require.Equal(t, postdate.Duration(time.Minute), started.Attempts.Last().RetryAfter)
}

func TestSendLine_LeavesToTheLineWhatCannotBeHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	w.busy = true
	w.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503}, nil
	}
	progress := w.sendLine(lineOf(1))
	require.Empty(t, progress.Moved)
	require.Equal(t, 503, progress.Made[0].Status)
}

func TestSendLine_LeavesToTheLineWhatFailsOnceItIsStopped(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	ctx, stop := context.WithCancel(t.Context())
	w.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	w.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		stop() // somebody cancels one of them
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503}, nil
	}
	progress := w.sendLine(lineOf(1))
	require.Equal(t, 503, progress.Made[0].Status)
	require.Empty(t, w.started)
}

func TestSendLine_SendsNothingAgainThatALostCallHandedOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(2)
	w.started[in.Entries[0].DeliveryID] = protocol.DeliverInput{}
	in.Again = true
	progress := w.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
	require.Len(t, progress.Made, 1)
	require.Contains(t, progress.Made, 1)
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
	in.Entries[1].Message = nil
	progress := w.sendLine(in)
	require.Equal(t, protocol.EndpointDeleted, progress.Made[0].Outcome)
	require.Equal(t, protocol.EndpointDeleted, progress.Made[2].Outcome)
	require.Equal(t, []int{1}, progress.Moved)
	require.Equal(t, []string{"evt_1.ep_1"}, w.released, "it finds that out itself")
}

func TestSendLine_TellsThoseThatHaveExecutionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(2)
	in.Entries[0].Message = nil
	progress := w.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
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
	require.Equal(t, []throttle.PermitRequest{{Since: s.DueAt}}, w.claims)

	w.turns = func(throttle.PermitRequest) bool { return false }
	require.Equal(t, protocol.NoPermit, w.send(s).Outcome)
	require.Len(t, w.ended, 1)
}
