package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// newPulledEnv is an endpoint that is pulled from, with a line of n deliveries.
func newPulledEnv(t *testing.T, n int, pace postdate.Pace) *endpointEnv {
	t.Helper()
	e := newEndpointEnv(t, pace)
	e.in.Settings.Pull = true
	e.join(time.Second, pulledLine(1, n, 0))
	e.pull(time.Minute, protocol.PullRequest{Gone: []string{"l1"}}) // so that the endpoint rests
	return e
}

// pulledLine is a line of n deliveries, of which the first few are leased.
func pulledLine(version int64, n, leased int) protocol.LineStatus {
	status := protocol.LineStatus{
		Tenant: "acme", Endpoint: "ep_1", ID: "l1", Waiting: n, Since: start, Version: version, Leased: leased,
	}
	for place := leased; place < n; place++ {
		status.Open = status.Open.Add(place)
	}
	return status
}

// pull pulls, and returns where the first reservation will be stored.
func (e *endpointEnv) pull(when time.Duration, request protocol.PullRequest) *[]protocol.Reservation {
	got := &[]protocol.Reservation{}
	e.at(when, func() {
		e.UpdateWorkflow(protocol.UpdatePull, "", &answered{t: e.t, then: func(v any) {
			if grant := v.(protocol.PullGrant); len(grant.Reserved) > 0 {
				*got = grant.Reserved[0]
			}
		}}, request)
	})
	return got
}

func wants(n int) protocol.PullRequest {
	return protocol.PullRequest{Wants: []protocol.PullWant{{N: n}}}
}

// A process that dies between the reservation and the lease leaves nothing behind.
func TestEndpoint_AReservationThatIsLostIsFreeAgain(t *testing.T) {
	t.Parallel()
	e := newPulledEnv(t, 5, postdate.Pace{InFlight: 3})
	lost := e.pull(2*time.Second, wants(10))
	soon := e.pull(20*time.Second, wants(10))
	leased := e.health(21 * time.Second)
	later := e.pull(40*time.Second, wants(10))
	e.run()
	require.Len(t, *lost, 1)
	require.Equal(t, 3, (*lost)[0].N, "no more than may be in flight")
	require.Empty(t, *soon)
	require.Equal(t, 3, leased.Leased)
	require.Len(t, *later, 1)
	require.NotEqual(t, (*lost)[0].ID, (*later)[0].ID)
}

// Reports overtake each other: an old one does not free what is leased since.
func TestEndpoint_KeepsTheNewestReportOfALine(t *testing.T) {
	t.Parallel()
	e := newPulledEnv(t, 5, postdate.Pace{InFlight: 3})
	first := e.pull(2*time.Second, wants(2))
	e.at(3*time.Second, func() {
		e.UpdateWorkflow(protocol.UpdatePull, "", &answered{t: t}, protocol.PullRequest{
			Reports: []protocol.LineStatus{pulledLine(2, 5, 2)}, Closed: []int64{(*first)[0].ID},
		})
	})
	e.join(4*time.Second, pulledLine(1, 5, 0))
	health := e.health(5 * time.Second)
	next := e.pull(6*time.Second, wants(10))
	gone := e.health(8 * time.Second)
	e.pull(7*time.Second, protocol.PullRequest{Gone: []string{"l1"}})
	e.run()
	require.Equal(t, 2, health.Leased)
	require.Equal(t, 3, health.Waiting)
	require.Equal(t, 1, (*next)[0].N)
	require.Zero(t, gone.Leased)
	require.Zero(t, gone.Waiting)
}

// Several consumers that ask together get what comes one after another.
func TestEndpoint_ServesConsumersInOrder(t *testing.T) {
	t.Parallel()
	e := newPulledEnv(t, 5, postdate.Pace{InFlight: 100, PerSecond: 1, Burst: 4})
	var grant protocol.PullGrant
	e.at(2*time.Second, func() {
		e.UpdateWorkflow(protocol.UpdatePull, "", &answered{t: t, then: func(v any) { grant = v.(protocol.PullGrant) }},
			protocol.PullRequest{Wants: []protocol.PullWant{{N: 3}, {N: 3}, {N: 3}}})
	})
	var found protocol.Pullable
	e.at(3*time.Second, func() {
		value, err := e.QueryWorkflow(protocol.QueryPullable, start.Add(2*time.Second))
		require.NoError(t, err)
		require.NoError(t, value.Get(&found))
	})
	e.run()
	require.Equal(t, 3, grant.Reserved[0][0].N)
	require.Equal(t, 1, grant.Reserved[1][0].N, "the rate allows four at once")
	require.Empty(t, grant.Reserved[2])
	require.Zero(t, found.N)
	require.WithinDuration(t, start.Add(3*time.Second), found.RetryAt, 100*time.Millisecond)
}
