package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

func TestEndpoint_LogsThatItsBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	fails, succeeds := throttle.Feedback{Failed: 5, Trailing: 5}, throttle.Feedback{Succeeded: 1, Answered: 1, LatencyMS: 10}
	e.lease(0, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: fails})
	e.lease(time.Second, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: fails}) // what was under way
	e.lease(4*time.Second, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: throttle.Feedback{Failed: 1, Trailing: 1}})
	e.lease(11*time.Second, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: succeeds})
	e.lease(12*time.Second, protocol.LeaseRequest{Worker: "a", InFlight: 1, Feedback: succeeds})
	e.run()
	require.Equal(t, []string{
		"circuit breaker opened tenant=acme endpoint=ep_1 reason=too many attempts failed until=2026-11-21T09:00:03Z waiting=0",
		"circuit breaker stays open tenant=acme endpoint=ep_1 reason=the attempt made to try the receiver failed until=2026-11-21T09:00:10Z waiting=0",
		"circuit breaker closed tenant=acme endpoint=ep_1 reason=the receiver answers again waiting=0",
	}, e.logged.lines)
}
