package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// pacer issues no permit to deliveries of a busy tenant that were not dequeued, nor to
// each third that was dequeued of a slow one. Of a single one only the first that was
// dequeued gets one, and the next wait. All others get one at once.
type pacer struct{}

// Tenants, by name: of a slow one and a single one how many were dequeued.
var busy, slow, single sync.Map

func (pacer) Acquire(ctx context.Context, tenant string, _ postdate.Endpoint, c throttle.PermitRequest) (throttle.Permit, error) {
	if err := refusal(tenant); err != nil {
		return nil, err
	}
	if _, is := busy.Load(tenant); is && !c.Dequeued {
		return nil, throttle.ErrNoPermit
	}
	if called, is := slow.Load(tenant); is && c.Dequeued && called.(*atomic.Int64).Add(1)%3 == 0 {
		return nil, throttle.ErrNoPermit
	}
	if called, is := single.Load(tenant); is && c.Dequeued && called.(*atomic.Int64).Add(1) > 1 {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return throttle.Unlimited, nil
}

// accepts is a receiver that accepts whatever comes.
func accepts(int) postdate.Attempt { return accept("") }

// setBusy gives the test's tenant one endpoint, at which everybody waits in line
// until it calls. It answers the endpoint's execution.
func setBusy(t *testing.T, change ...func(*postdate.Endpoint)) client.WorkflowRun {
	t.Helper()
	e := postdate.Endpoint{ID: "ep_1", URL: "https://crm.example/hooks", State: postdate.Enabled, EventTypes: []string{"*"}}
	for _, each := range change {
		each(&e)
	}
	endpoints.Store(t.Name(), []postdate.Endpoint{e})
	busy.Store(t.Name(), true)
	return signalSettings(t, engineClient, protocol.EndpointSettings{Version: 1, State: postdate.Paused, Coalesce: e.Coalesce})
}

// wakeLines has the endpoint call those who wait: all at once, or no more than
// hold twice what may be in flight.
func wakeLines(t *testing.T, inFlight ...int) {
	t.Helper()
	known, _ := endpoints.Load(t.Name())
	settings := protocol.EndpointSettings{
		Version: 2, State: postdate.Enabled, Pace: postdate.Pace{InFlight: 100}, Coalesce: known.([]postdate.Endpoint)[0].Coalesce,
	}
	for _, n := range inFlight {
		settings.Pace.InFlight = n
	}
	signalSettings(t, engineClient, settings)
}

// signalSettings tells the endpoint settings that are newer than what the directory
// knows.
func signalSettings(t *testing.T, c client.Client, settings protocol.EndpointSettings) client.WorkflowRun {
	t.Helper()
	run, err := c.SignalWithStartWorkflow(t.Context(), protocol.EndpointID(t.Name(), "ep_1"), protocol.SignalSettings,
		settings, protocol.EndpointOptions(t.Name(), "ep_1"), protocol.EndpointWorkflow,
		protocol.EndpointInput{Tenant: t.Name(), ID: "ep_1"})
	require.NoError(t, err)
	return run
}

// enqueueEvents has n events wait in one line, which it answers with the Dispatch that
// they leave. Their receivers answer by their places.
func enqueueEvents(t *testing.T, n int, answer func(place int) postdate.Attempt) (line, from client.WorkflowRun, ids []string) {
	t.Helper()
	in := protocol.DispatchInput{Digest: "d", At: time.Now().UTC()}
	group := unique(t)
	for place := range n {
		id := fmt.Sprintf("%s.%d", group, place)
		receivers.Store(id, subscribers(func(string) postdate.Attempt { return answer(place) }))
		ids = append(ids, postdate.DeliveryID(id, "ep_1"))
		in.Events = append(in.Events, protocol.Publication{Endpoints: []string{"ep_1"}, Message: postdate.Message{
			ID: id, Tenant: t.Name(), Type: "payment_request.expired", Timestamp: in.At, Data: json.RawMessage(`{"amount":1}`),
		}})
	}
	from, err := engineClient.ExecuteWorkflow(t.Context(),
		protocol.DispatchOptions(protocol.GroupID(t.Name(), group), in), protocol.DispatchWorkflow, in)
	require.NoError(t, err)
	var result protocol.DispatchResult
	require.NoError(t, from.Get(t.Context(), &result))
	require.Empty(t, result.Delivered)
	require.Len(t, result.Queued, n)
	for _, queued := range result.Queued {
		require.Equal(t, result.Queued[0].Line, queued.Line, "those that come together wait in one line")
	}
	return findLine(t, result.Queued[0].Line), from, ids
}

func findLine(t *testing.T, id string) client.WorkflowRun {
	t.Helper()
	return engineClient.GetWorkflow(t.Context(), protocol.LineID(t.Name(), "ep_1", id), "")
}
