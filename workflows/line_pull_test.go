package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// newPulledLine has n messages wait in a line that is pulled from.
func newPulledLine(t *testing.T, n int) *lineEnv {
	t.Helper()
	e := newLineEnv(t, n)
	e.in.Pull = true
	return e
}

// take leases n messages after a while, and returns where the result will be stored.
func (e *lineEnv) take(after time.Duration, lease string, n int, last time.Duration) *protocol.TakeResult {
	got := &protocol.TakeResult{}
	e.RegisterDelayedCallback(func() {
		e.UpdateWorkflow(protocol.UpdateTake, lease, &answered{t: e.t, then: func(v any) { *got = v.(protocol.TakeResult) }},
			protocol.TakeRequest{Takes: []protocol.Take{{
				Lease: lease, N: n, For: postdate.Duration(last), Until: start.Add(after + time.Second),
			}}})
	}, after)
	return got
}

// settle settles leases after a while, and returns where the results will be stored.
func (e *lineEnv) settle(after time.Duration, settlements ...protocol.Settlement) *[]postdate.SettleResult {
	got := &[]postdate.SettleResult{}
	e.RegisterDelayedCallback(func() {
		e.UpdateWorkflow(protocol.UpdateSettle, "", &answered{t: e.t, then: func(v any) {
			for _, one := range v.(protocol.SettleResponse).Settled {
				*got = append(*got, one.Result)
			}
		}}, protocol.SettleRequest{Settlements: settlements})
	}, after)
	return got
}

func acks(lease string, places ...int) (all []protocol.Settlement) {
	for _, place := range places {
		all = append(all, protocol.Settlement{Place: place, Lease: lease, Action: postdate.Ack})
	}
	return all
}

func TestLine_LeasesOutliveItsRuns(t *testing.T) {
	t.Parallel()
	e := newPulledLine(t, 4)
	e.take(time.Second, "first", 3, time.Hour)
	next := e.runContinued()
	require.Len(t, next.Leases, 3)
	again := newPulledLine(t, 0)
	again.in = next
	rest := again.take(time.Second, "second", 10, time.Hour)
	results := again.settle(2*time.Second, acks("first", 0, 1, 2)...)
	again.settle(3*time.Second, acks("second", 3)...)
	require.Len(t, again.run().Delivered, 4)
	require.Len(t, rest.Taken[0], 1, "the others are leased")
	require.Equal(t, 4, rest.Status.Leased)
	require.Equal(t, []postdate.SettleResult{postdate.Acknowledged, postdate.Acknowledged, postdate.Acknowledged}, *results)
}

func TestLine_ALeaseEndsByItself(t *testing.T) {
	t.Parallel()
	e := newPulledLine(t, 2)
	e.take(time.Second, "first", 2, 12*time.Hour)
	early := e.settle(12*time.Hour, acks("first", 0)...)
	result := e.run()
	require.Len(t, result.Delivered, 1)
	require.Equal(t, 12*time.Hour-time.Second, time.Duration(result.Delivered[0].DurationMS)*time.Millisecond)
	require.Equal(t, []postdate.SettleResult{postdate.Acknowledged}, *early)
	require.Len(t, e.handed, 1)
	require.Equal(t, "no consumer acknowledged it within its lease of 12h0m0s", e.handed[0].Attempts.Last().Error)
	require.Equal(t, 1, e.handed[0].Event)
}

func TestLine_TakesNothingThatComesTooLate(t *testing.T) {
	t.Parallel()
	e := newPulledLine(t, 1)
	var got protocol.TakeResult
	e.RegisterDelayedCallback(func() {
		e.UpdateWorkflow(protocol.UpdateTake, "", &answered{t: t, then: func(v any) { got = v.(protocol.TakeResult) }},
			protocol.TakeRequest{Takes: []protocol.Take{{Lease: "late", N: 1, For: postdate.Duration(time.Hour), Until: start}}})
	}, time.Second)
	e.take(2*time.Second, "first", 1, time.Hour)
	e.settle(3*time.Second, acks("first", 0)...)
	require.Len(t, e.run().Delivered, 1)
	require.Empty(t, got.Taken[0], "others may have it")
	require.Equal(t, 1, got.Status.Open.Count(nil))
}

func TestLine_ReportsWhereNobodyElseHas(t *testing.T) {
	t.Parallel()
	e := newPulledLine(t, 2)
	e.take(time.Minute, "first", 1, time.Hour)
	e.settle(2*time.Minute, acks("first", 0)...)
	e.take(3*time.Minute, "second", 1, time.Hour)
	e.settle(3*time.Minute+time.Second, acks("second", 1)...)
	e.run()
	require.Equal(t, []time.Duration{0, time.Minute + 5*time.Second, 2*time.Minute + 5*time.Second}, e.joined)
	require.Equal(t, []int{0}, e.left)
}
