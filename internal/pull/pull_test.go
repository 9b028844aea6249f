package pull_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/pull"
)

const long = time.Minute

func TestPull_LeasesTheOldestFirst(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(5)
	first := s.pullAll(3, long)
	require.Equal(t, ids[:3], deliveryIDs(first))
	require.JSONEq(t, `1`, string(first[1].Data))
	require.Equal(t, "customer_1", first[1].Entity)
	require.Equal(t, 1, first[1].Attempt)
	require.WithinDuration(t, time.Now().Add(long), first[1].LeaseUntil, 10*time.Second)
	require.Equal(t, 3, s.health().Leased)
	require.Equal(t, 2, s.health().Waiting)
	require.NotZero(t, s.health().OldestWaiting)
	leased := s.Becomes(ids[0], postdate.Sending)
	require.Contains(t, leased.Reason, "a consumer has it until ")
	s.Becomes(ids[4], postdate.Waiting)

	second := s.pullAll(2, long)
	require.Equal(t, ids[3:], deliveryIDs(second), "nobody gets what another has")
	s.pullNothing()
	require.Equal(t, are(postdate.Acknowledged, 3), s.settle(postdate.Ack, first...))
	delivered := s.Becomes(ids[0], postdate.Delivered)
	require.Len(t, delivered.Attempts, 1)
	require.Equal(t, postdate.Accepted, delivered.Attempts[0].Outcome)
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, second...))
	s.lineEnds(first[0])
	eventually.True(t, func() bool { return s.health().Leased == 0 && s.health().Waiting == 0 })
	require.Len(t, s.Listed(5, postdate.Filter{State: postdate.Delivered}), 5)
	s.recordLine("line/pulled-and-acknowledged", first[0])
	s.recordEndpoint("endpoint/pulled-from")
}

func TestPull_WaitsForTheFirst(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.pullNothing()
	came := make(chan []postdate.PulledMessage)
	go func() {
		messages, _ := s.Process(deliverytest.Options{}).Pulls.Pull(t.Context(), s.Name, s.endpoint, pull.Request{Max: 10, Wait: 20 * time.Second, Lease: long})
		came <- messages
	}()
	ids := s.publish(1)
	require.Equal(t, ids, deliveryIDs(<-came))
}

func TestPull_WhatIsNotAcknowledgedComesAgain(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(2)
	lost := s.pullAll(2, time.Second)
	again := s.pullAll(2, long)
	require.ElementsMatch(t, ids, deliveryIDs(again))
	require.Equal(t, 2, again[0].Attempt)
	require.Equal(t, are(postdate.LeaseEnded, 2), s.settle(postdate.Ack, lost...), "another has it")
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, again...))
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, again...), "repeated")
	require.Equal(t, are(postdate.LeaseEnded, 2), s.settle(postdate.Ack, lost...), "another has acknowledged it")
	delivered := s.Becomes(ids[0], postdate.Delivered)
	require.Len(t, delivered.Attempts, 2)
	require.Equal(t, postdate.Failed, delivered.Attempts[0].Outcome)
	require.Equal(t, "no consumer acknowledged it within its lease of 1s", delivered.Attempts[0].Error)
	s.recordLine("line/lease-ended", lost[0])
	s.recordDelivery("deliver/pulled-after-its-lease-ended", ids[0])
}

func TestPull_IsADeadLetterAtLast(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ids := s.publish(1)
	first := s.pull(1, long)
	require.Equal(t, are(postdate.Nacked, 1), s.settleAs(pull.SettleRequest{Action: postdate.Nack, Reason: "locked"}, first...))
	second := s.pull(1, long)
	require.Equal(t, are(postdate.Nacked, 1), s.settle(postdate.Nack, first...), "repeated, while another has it")
	require.Equal(t, are(postdate.Nacked, 1), s.settleAs(pull.SettleRequest{Action: postdate.Nack, Reason: "still locked"}, second...))
	dead := s.Becomes(ids[0], postdate.Dead)
	require.Equal(t, "gave up after 2 attempts: a consumer did not accept it: still locked", dead.Reason)
	require.Len(t, dead.Attempts, 2)
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Ack, second...))
	require.Equal(t, are(postdate.Nacked, 2), s.settle(postdate.Nack, first[0], second[0]), "repeated, of an execution of its own")
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Extend, second...))
	s.recordDelivery("deliver/pulled-until-it-was-dead", ids[0])

	_, err := s.Retry(t.Context(), s.Name, ids[0])
	require.NoError(t, err)
	third := s.pull(1, long)
	require.Equal(t, 3, third[0].Attempt)
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, third...))
	s.Becomes(ids[0], postdate.Delivered)
}

func TestPull_ANackSaysHowLongToWait(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(1)
	first := s.pull(1, long)
	nacked := time.Now()
	s.settleAs(pull.SettleRequest{Action: postdate.Nack, RetryAfter: postdate.Duration(2 * time.Second)}, first...)
	require.Equal(t, are(postdate.Nacked, 1), s.settle(postdate.Nack, first...), "repeated")
	s.pull(1, long)
	require.GreaterOrEqual(t, time.Since(nacked), 2*time.Second)
}

func TestPull_AnExtendedLeaseLasts(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(2)
	leased := s.pullAll(2, 2*time.Second)
	settled, err := s.Pulls.Settle(t.Context(), s.Name, s.endpoint,
		pull.SettleRequest{Action: postdate.Extend, Lease: postdate.Duration(long), Receipts: []string{leased[0].Receipt}})
	require.NoError(t, err)
	require.Equal(t, postdate.Extended, settled[0].Result)
	require.WithinDuration(t, time.Now().Add(long), settled[0].LeaseUntil, 10*time.Second)
	again := s.pull(2, 2*time.Second)
	require.Equal(t, deliveryIDs(leased[1:]), deliveryIDs(again), "the other one's lease has ended")
	require.Equal(t, are(postdate.Extended, 1), s.settle(postdate.Extend, again...), "that of an execution of its own, too")
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, leased[0], again[0]))
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Extend, leased[1]))
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Nack, leased[1]), "it ran out, and nobody said anything of it")
	s.recordLine("line/lease-extended", leased[0])
	s.recordDelivery("deliver/lease-extended", again[0].DeliveryID)
}

func TestSettle_SaysWhatBecameOfEachReceipt(t *testing.T) {
	t.Parallel()
	s, other, elsewhere := newShelf(t), newShelf(t), newShelf(t)
	s.publish(2)
	elsewhere.publish(1)
	other.Tenant, other.endpoint = s.Tenant, s.PullEndpoint("u", func(*postdate.Endpoint) {})
	own := s.pullAll(2, long)
	foreign := elsewhere.pull(1, long)
	guessed, _ := postdate.ParseReceipt(own[0].Receipt)
	guessed.Lease = "ABCDEFGH"
	require.Equal(t, []postdate.SettleResult{
		postdate.Acknowledged, postdate.UnknownReceipt, postdate.UnknownReceipt, postdate.UnknownReceipt, postdate.Acknowledged,
	}, s.settle(postdate.Ack, own[0], foreign[0], postdate.PulledMessage{Receipt: "rc1_nonsense"}, postdate.PulledMessage{Receipt: guessed.String()}, own[0]))
	require.Equal(t, are(postdate.UnknownReceipt, 1), other.settle(postdate.Ack, own[1]), "it is another endpoint's")
	require.Equal(t, are(postdate.LeaseEnded, 1), s.settle(postdate.Nack, own[0]), "it is acknowledged")
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, own[1]))
	s.lineEnds(own[0])
	require.Equal(t, are(postdate.Acknowledged, 2), s.settle(postdate.Ack, own...), "as long as anything is known of it")
	require.Equal(t, are(postdate.UnknownReceipt, 1), other.settle(postdate.Ack, own[1]))
	require.Equal(t, are(postdate.Acknowledged, 1), elsewhere.settle(postdate.Ack, foreign...), "nobody else has touched it")
}

func TestPull_LeasesNoMoreThanMayBeInFlight(t *testing.T) {
	t.Parallel()
	s := newShelf(t, func(e *postdate.Endpoint) { e.MaxInFlight = 3 })
	s.publish(5)
	first := s.pullAll(3, long)
	s.pullNothing()
	require.Equal(t, 3, s.health().Leased)
	s.settle(postdate.Ack, first[0])
	next := s.pull(5, long)
	require.Len(t, next, 1)
	s.pullNothing()
	s.settle(postdate.Nack, first[1])
	require.Len(t, s.pull(5, long), 1)
}

func TestPull_KeepsToTheRate(t *testing.T) {
	t.Parallel()
	s := newShelf(t, func(e *postdate.Endpoint) { e.RateLimit = &postdate.RateLimit{PerSecond: 1, Burst: 2} })
	s.publish(4)
	began := time.Now()
	s.pullAll(4, long)
	require.GreaterOrEqual(t, time.Since(began), 1900*time.Millisecond, "two at once, and two at one a second")
}

func TestPull_NothingComesWhileTheEndpointIsPaused(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(2)
	leased := s.pullAll(1, long)
	s.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints[0].State = postdate.Paused })
	s.pullNothing()
	s.publish(1)
	s.pullNothing()
	require.Equal(t, are(postdate.Acknowledged, 1), s.settle(postdate.Ack, leased...), "what is leased can be settled")
	s.Configure(func(tenant *postdate.Tenant) { tenant.Endpoints[0].State = postdate.Enabled })
	resumed := &shelf{Tenant: s.Process(deliverytest.Options{}), endpoint: s.endpoint}
	resumed.pullAll(2, long)
}

func TestPull_GivesBackWhatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	s.publish(3)
	for range 5 { // some are gone before they are served, and some after
		gone, stop := context.WithTimeout(t.Context(), 10*time.Millisecond)
		_, _ = s.Pulls.Pull(gone, s.Name, s.endpoint, pull.Request{Max: 3, Wait: time.Second, Lease: long})
		stop()
	}
	for _, m := range s.pullAll(3, long) {
		require.Equal(t, 1, m.Attempt, "that was no attempt")
	}
}

// TestPull_ServesManyConsumersOfWhichOneDies has four processes consume, of which one dies
// with what it has leased.
func TestPull_ServesManyConsumersOfWhichOneDies(t *testing.T) {
	t.Parallel()
	const all, perPull = 200, 10
	s := newShelf(t)
	for range all / 100 {
		s.publish(100)
	}
	dead := s.pull(perPull, 2*time.Second)
	var mu sync.Mutex
	acknowledged, repeated := make(map[string]int), 0
	var consuming sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	for range 3 {
		process := s.Process(deliverytest.Options{})
		consuming.Go(func() {
			for ctx.Err() == nil {
				messages, err := process.Pulls.Pull(ctx, s.Name, s.endpoint, pull.Request{Max: perPull, Wait: 500 * time.Millisecond, Lease: long})
				if err != nil {
					return
				}
				mu.Lock()
				for _, m := range messages {
					acknowledged[m.DeliveryID]++
					if m.Attempt > 1 {
						repeated++
					}
				}
				done := len(acknowledged) == all
				mu.Unlock()
				receipts := make([]string, 0, len(messages))
				for _, m := range messages {
					receipts = append(receipts, m.Receipt)
				}
				if len(receipts) > 0 {
					_, _ = process.Pulls.Settle(ctx, s.Name, s.endpoint, pull.SettleRequest{Action: postdate.Ack, Receipts: receipts})
				}
				if done {
					return
				}
			}
		})
	}
	consuming.Wait()
	require.Len(t, acknowledged, all)
	for id, times := range acknowledged {
		require.Equal(t, 1, times, "%s was pulled again though it was acknowledged", id)
	}
	require.Equal(t, len(dead), repeated, "those of the dead one, and no others")
	s.Listed(all, postdate.Filter{State: postdate.Delivered})
}
