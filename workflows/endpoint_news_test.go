package workflows_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/workflows"
)

func TestEndpoint_LogsThatItsBreakerOpensAndCloses(t *testing.T) {
	t.Parallel()
	e := newEndpointEnv(t, postdate.Pace{InFlight: 10})
	fails, succeeds := postdate.Observed{Failed: 5, Trailing: 5}, postdate.Observed{Succeeded: 1, Answered: 1, LatencyMS: 10}
	e.lease(0, workflows.AskLease{Worker: "a", InFlight: 1, Seen: fails})
	e.lease(time.Second, workflows.AskLease{Worker: "a", InFlight: 1, Seen: fails}) // what was under way
	e.lease(4*time.Second, workflows.AskLease{Worker: "a", InFlight: 1, Seen: postdate.Observed{Failed: 1, Trailing: 1}})
	e.lease(11*time.Second, workflows.AskLease{Worker: "a", InFlight: 1, Seen: succeeds})
	e.lease(12*time.Second, workflows.AskLease{Worker: "a", InFlight: 1, Seen: succeeds})
	e.run()
	require.Equal(t, []string{
		"circuit breaker opened tenant=acme endpoint=ep_1 reason=too many attempts failed until=2026-11-21T09:00:03Z waiting=0",
		"circuit breaker stays open tenant=acme endpoint=ep_1 reason=the attempt made to try the receiver failed until=2026-11-21T09:00:10Z waiting=0",
		"circuit breaker closed tenant=acme endpoint=ep_1 reason=the receiver answers again waiting=0",
	}, e.logged.lines)
}
