package worker_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// setCanary gives the test's tenant one endpoint, whose canary of that state takes the
// entity "in". Everybody waits in line there until their line is woken.
func setCanary(t *testing.T, state postdate.CanaryState) {
	t.Helper()
	endpoints.Store(t.Name(), []postdate.Endpoint{{
		ID: "ep_1", URL: "https://crm.example/hooks", State: postdate.Enabled, EventTypes: []string{"*"},
		Canary: &postdate.Canary{ID: "cn_1", URL: "https://next.example/hooks", Entities: []string{"in"}, State: state},
	}})
	busy.Store(t.Name(), true)
}

// signalCanary signals settings to the execution of the canary's own pace and queue.
func signalCanary(t *testing.T, settings protocol.EndpointSettings) client.WorkflowRun {
	t.Helper()
	key := postdate.CanaryKey("ep_1", "cn_1")
	run, err := engineClient.SignalWithStartWorkflow(t.Context(), protocol.EndpointID(t.Name(), key), protocol.SignalSettings,
		settings, protocol.EndpointOptions(t.Name(), key), protocol.EndpointWorkflow, protocol.EndpointInput{Tenant: t.Name(), ID: key})
	require.NoError(t, err)
	return run
}

// enqueueForCanary has two events wait in the canary's queue, in one line. urls gets where
// they arrive.
func enqueueForCanary(t *testing.T, urls chan string) client.WorkflowRun {
	t.Helper()
	in := protocol.DispatchInput{Digest: "d", At: time.Now().UTC()}
	group := unique(t)
	for place := range 2 {
		id := fmt.Sprintf("%s.%d", group, place)
		receivers.Store(id, subscribers(func(url string) postdate.Attempt { urls <- url; return accept("") }))
		in.Events = append(in.Events, protocol.Publication{Endpoints: []string{"ep_1"}, Message: postdate.Message{
			ID: id, Tenant: t.Name(), Type: "payment_request.expired", Entity: "in", Timestamp: in.At, Data: json.RawMessage(`{}`),
		}})
	}
	from, err := engineClient.ExecuteWorkflow(t.Context(), protocol.DispatchOptions(protocol.GroupID(t.Name(), group), in), protocol.DispatchWorkflow, in)
	require.NoError(t, err)
	var result protocol.DispatchResult
	require.NoError(t, from.Get(t.Context(), &result))
	require.Len(t, result.Queued, 2)
	eventually.True(t, func() bool {
		value, err := engineClient.QueryWorkflow(t.Context(), protocol.EndpointID(t.Name(), postdate.CanaryKey("ep_1", "cn_1")), "", protocol.QueryHealth)
		require.NoError(t, err)
		var health protocol.EndpointHealth
		require.NoError(t, value.Get(&health))
		return health.Waiting == 2
	})
	return findLine(t, result.Queued[0].Line)
}

func TestLineOfACanary(t *testing.T) {
	t.Parallel()
	setCanary(t, postdate.CanaryRunning)
	signalCanary(t, protocol.EndpointSettings{Version: 1, State: postdate.Paused})
	urls := make(chan string, 2)
	line := enqueueForCanary(t, urls)
	signalCanary(t, protocol.EndpointSettings{Version: 2, State: postdate.Enabled, Pace: postdate.Pace{InFlight: 10}})
	result, _ := requireLine(t, line, "")
	require.Len(t, result.Delivered, 2)
	require.Equal(t, "cn_1", result.Delivered[0].Canary)
	require.Equal(t, "https://next.example/hooks", <-urls)
	recordRun(t, line, "line/of-a-canary")
}

func TestLineLeavesACanaryThatIsRolledBack(t *testing.T) {
	t.Parallel()
	setCanary(t, postdate.CanaryRunning)
	signalSettings(t, engineClient, protocol.EndpointSettings{Version: 1, State: postdate.Paused})
	canary := signalCanary(t, protocol.EndpointSettings{Version: 1, State: postdate.Paused})
	urls := make(chan string, 2)
	line := enqueueForCanary(t, urls)
	setCanary(t, postdate.CanaryRolledBack)
	signalCanary(t, protocol.EndpointSettings{Version: 2})
	eventually.True(t, func() bool { // it waits for the primary
		value, err := engineClient.QueryWorkflow(t.Context(), protocol.EndpointID(t.Name(), "ep_1"), "", protocol.QueryHealth)
		require.NoError(t, err)
		var health protocol.EndpointHealth
		require.NoError(t, value.Get(&health))
		return health.Waiting == 2
	})
	wakeLines(t)
	result, _ := requireLine(t, line, "")
	require.Len(t, result.Delivered, 2)
	require.Empty(t, result.Delivered[0].Canary)
	require.Equal(t, "https://crm.example/hooks", <-urls)
	recordRun(t, line, "line/left-its-canary")
	require.NoError(t, canary.Get(t.Context(), nil), "the canary's own execution ends")
}
