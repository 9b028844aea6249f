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

func (f *fakes) sendLine(in protocol.SendLineInput) (progress protocol.LineProgress) {
	f.t.Helper()
	require.NoError(f.t, f.run(protocol.SendLineActivity, in, &progress))
	return progress
}

func TestSendLine_TakesTurnsInOrderAndSendsSideBySide(t *testing.T) {
	t.Parallel()
	const n = 20
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	var together sync.WaitGroup
	together.Add(n)
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		together.Done()
		together.Wait() // until all of them are under way
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	progress := f.sendLine(lineOf(n))
	require.Len(t, progress.Made, n)
	require.Equal(t, 1, progress.Made[7].Number)
	require.Empty(t, progress.Sending)
	require.Len(t, f.ended, n, "each turn ends once")
	for place, claim := range f.requests {
		require.True(t, claim.Dequeued)
		require.Equal(t, now.Add(time.Duration(place)*time.Second), claim.Since)
	}
}

func TestSendLine_EndsWhereNoTurnComes(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	f.permits = func(throttle.PermitRequest) bool { return len(f.requests) < 2 }
	progress := f.sendLine(lineOf(5))
	require.Len(t, progress.Made, 2)
	require.Contains(t, progress.Made, 0)
	require.Contains(t, progress.Made, 1)
	require.Len(t, f.ended, 2)
}

func TestSendLine_GoesOnWhereItsLastWorkerDied(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(5)
	f.SetHeartbeatDetails(protocol.LineProgress{
		Made: map[int]postdate.Attempt{
			0: {Number: 1, Outcome: postdate.Failed, Status: 500}, 4: {Number: 1, Outcome: postdate.Accepted, Status: 200},
		}, Moved: []int{1},
	})
	f.started[in.Entries[3].DeliveryID] = protocol.DeliverInput{} // which was not recorded
	progress := f.sendLine(in)
	require.Len(t, f.requests, 1, "what was sent or released is not sent again")
	require.Len(t, progress.Made, 2)
	require.Equal(t, postdate.Accepted, progress.Made[2].Outcome)
	require.Equal(t, 200, progress.Made[4].Status)
	require.ElementsMatch(t, []int{0, 1, 3}, progress.Moved)
	require.Equal(t, 500, f.started["evt_0.ep_1"].Attempts.Last().Status, "what failed is handed over")
}

func TestSendLine_HandsOverWhatFailsAtOnce(t *testing.T) {
	t.Parallel()
	e := endpoint("ep_1", postdate.Enabled)
	e.Retry = &postdate.Retry{Schedule: []postdate.Duration{postdate.Duration(time.Hour)}}
	f := newFakes(t, e)
	in, handed := lineOf(2), make(chan struct{})
	f.answer = func(_ context.Context, m postdate.Message, _ postdate.Target) (postdate.Attempt, error) {
		if m.ID == "evt_0" {
			return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503, RetryAfter: postdate.Duration(time.Minute)}, nil
		}
		<-handed // the call is not over yet
		return postdate.Attempt{At: now, Outcome: postdate.Accepted, Status: 200}, nil
	}
	f.onStart = func() { close(handed) }
	progress := f.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
	require.Len(t, progress.Made, 1)
	require.Contains(t, progress.Made, 1)
	require.Len(t, f.started, 1)
	started := f.started["evt_0.ep_1"]
	require.Equal(t, *in.Entries[0].Message, started.Shipment.Message)
	require.Equal(t, in.Entries[0].At, started.Shipment.DueAt)
	require.Equal(t, e.Retry.Schedule, started.Retry.Schedule)
	require.Equal(t, postdate.Duration(time.Minute), started.Attempts.Last().RetryAfter)
}

func TestSendLine_LeavesToTheLineWhatCannotBeHandedOver(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	f.busy = true
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503}, nil
	}
	progress := f.sendLine(lineOf(1))
	require.Empty(t, progress.Moved)
	require.Equal(t, 503, progress.Made[0].Status)
}

func TestSendLine_LeavesToTheLineWhatFailsOnceItIsStopped(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	ctx, stop := context.WithCancel(t.Context())
	f.SetWorkerOptions(worker.Options{BackgroundActivityContext: ctx})
	f.answer = func(context.Context, postdate.Message, postdate.Target) (postdate.Attempt, error) {
		stop() // somebody cancels one of them
		return postdate.Attempt{At: now, Outcome: postdate.Failed, Status: 503}, nil
	}
	progress := f.sendLine(lineOf(1))
	require.Equal(t, 503, progress.Made[0].Status)
	require.Empty(t, f.started)
}

func TestSendLine_SendsNothingAgainThatALostCallHandedOver(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(2)
	f.started[in.Entries[0].DeliveryID] = protocol.DeliverInput{}
	in.Again = true
	progress := f.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
	require.Len(t, progress.Made, 1)
	require.Contains(t, progress.Made, 1)
}

func TestSendLine_SendsNothingToAnEndpointThatIsPaused(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Paused))
	require.Empty(t, f.sendLine(lineOf(2)).Made)
	require.Empty(t, f.requests)
}

func TestSendLine_EndsAllWhereTheEndpointWasDeleted(t *testing.T) {
	t.Parallel()
	f := newFakes(t)
	in := lineOf(3)
	in.Entries[1].Message = nil
	progress := f.sendLine(in)
	require.Equal(t, protocol.EndpointDeleted, progress.Made[0].Outcome)
	require.Equal(t, protocol.EndpointDeleted, progress.Made[2].Outcome)
	require.Equal(t, []int{1}, progress.Moved)
	require.Equal(t, []string{"evt_1.ep_1"}, f.released, "it finds that out itself")
}

func TestSendLine_TellsThoseThatHaveExecutionsOfTheirOwn(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	in := lineOf(2)
	in.Entries[0].Message = nil
	progress := f.sendLine(in)
	require.Equal(t, []int{0}, progress.Moved)
	require.Len(t, progress.Made, 1)
	require.Equal(t, []string{"evt_0.ep_1"}, f.released)
	require.ElementsMatch(t, []postdate.Outcome{"", postdate.Accepted}, f.ended)
}

func TestSend_EndsItsTurnOnce(t *testing.T) {
	t.Parallel()
	f := newFakes(t, endpoint("ep_1", postdate.Enabled))
	s := task(postdate.Destination{Endpoint: "ep_1"})
	f.send(s)
	require.Equal(t, []postdate.Outcome{postdate.Accepted}, f.ended)
	require.Equal(t, []throttle.PermitRequest{{Since: s.DueAt}}, f.requests)

	f.permits = func(throttle.PermitRequest) bool { return false }
	require.Equal(t, protocol.NoPermit, f.send(s).Outcome)
	require.Len(t, f.ended, 1)
}
