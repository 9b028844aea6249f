package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

// directory knows the endpoints that tests have set up, each test a tenant.
type directory struct{}

var endpoints sync.Map // of []postdate.Endpoint, by tenant

func (directory) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	if name == postdate.OperatorTenant {
		return &postdate.Tenant{Endpoints: []postdate.Endpoint{{
			ID: "ep_operator", EventTypes: []string{postdate.DeliveryDead}, State: postdate.Enabled,
		}}}, nil
	}
	known, _ := endpoints.Load(name)
	list, _ := known.([]postdate.Endpoint)
	return &postdate.Tenant{Endpoints: list}, nil
}

func (d directory) Fresh(ctx context.Context, name string) (*postdate.Tenant, error) {
	return d.Tenant(ctx, name)
}

func (directory) Report(context.Context, string, string, postdate.Attempt) {}

// Its endpoints have no canaries that anything is done with.
func (directory) SignalEndpoint(context.Context, protocol.CanaryRef) error { return nil }

func (directory) ChangeCanary(context.Context, string, protocol.ChangeCanary) (protocol.EndpointSettings, error) {
	return protocol.EndpointSettings{}, nil
}

// setEndpoint gives the test's tenant one endpoint, in that state.
func setEndpoint(t *testing.T, state postdate.EndpointState) {
	t.Helper()
	endpoints.Store(t.Name(), []postdate.Endpoint{{
		ID: "ep_1", URL: "https://crm.example/hooks", State: state, EventTypes: []string{"*"},
	}})
}

var deadLetters sync.Map // announced to the operator, by the id of the delivery

// operatorReceives is the operator's receiver.
func operatorReceives(m postdate.Message) postdate.Attempt {
	var news struct{ ID string }
	_ = json.Unmarshal(m.Data, &news) // nothing is announced of what cannot be read
	deadLetters.Store(news.ID, m)
	return postdate.Attempt{At: time.Now(), Outcome: postdate.Accepted, Status: 200}
}

// toEndpoint sends a delivery to the endpoint of the test's tenant.
func toEndpoint(t *testing.T) func(*protocol.DeliverInput) {
	t.Helper()
	return func(in *protocol.DeliverInput) {
		in.Shipment.Message.Tenant = t.Name()
		in.Shipment.To = postdate.Destination{Endpoint: "ep_1"}
		in.Shipment.Timeout = 0
	}
}

// awaitState waits until the engine's lists say that d is in that state.
func (d *delivery) awaitState(want postdate.State) {
	d.t.Helper()
	awaitState(d.t, d.run, want)
}

func awaitState(t *testing.T, run client.WorkflowRun, want postdate.State) {
	t.Helper()
	eventually.True(t, func() bool {
		described, err := engineClient.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
		require.NoError(t, err)
		return stateIn(t, described.GetWorkflowExecutionInfo().GetSearchAttributes()) == want
	})
}

func stateIn(t *testing.T, attributes *commonpb.SearchAttributes) postdate.State {
	t.Helper()
	payload, ok := attributes.GetIndexedFields()[protocol.AttrState.GetName()]
	if !ok {
		return ""
	}
	var state postdate.State
	require.NoError(t, json.Unmarshal(payload.GetData(), &state))
	return state
}

func TestHandedOverThenDelivered(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Enabled)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), func(in *protocol.DeliverInput) {
		in.Attempts = postdate.Attempts{{Number: 1, At: time.Now().UTC(), Outcome: postdate.Failed, Status: 503}}
		in.Handed = true
	})
	_, err := d.end()
	require.NoError(t, err)
	var result protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &result))
	require.Len(t, result.Attempts, 2)
	record(t, d)
}

func TestParkedThenReleased(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Paused)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	d.awaitState(postdate.Parked)
	setEndpoint(t, postdate.Enabled)
	require.NoError(t, engineClient.SignalWorkflow(t.Context(), d.run.GetID(), "", protocol.SignalRelease, nil))
	status, err := d.end()
	require.NoError(t, err)
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_COMPLETED, status)
	record(t, d)
}

func TestParkedThenCancelled(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Enabled)
	d := deliver(t, 0, answers(postdate.Failed, 500), toEndpoint(t), func(in *protocol.DeliverInput) {
		in.Retry.Schedule[0] = postdate.Duration(time.Second)
	})
	<-d.arrived
	setEndpoint(t, postdate.Disabled)
	d.awaitState(postdate.Parked)
	_, err := d.update(protocol.UpdateCancel)
	require.NoError(t, err)
	requireCancelled(t, d, 1)
	record(t, d)
}

func TestParkedThenExpired(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Paused)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), func(in *protocol.DeliverInput) {
		in.ExpiresAt = in.Shipment.DueAt.Add(2 * time.Second)
	})
	_, err := d.end()
	state, _, log := protocol.DecodeEnd(err, nil)
	require.Equal(t, postdate.Expired, state)
	require.Empty(t, log)
	d.awaitState(postdate.Expired)
	record(t, d)
}

func TestEndpointDeleted(t *testing.T) {
	t.Parallel()
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t))
	status, err := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_CANCELED, status)
	canceled, ok := errors.AsType[*temporal.CanceledError](err)
	require.True(t, ok, "%v", err)
	var result protocol.DeliverResult
	require.NoError(t, canceled.Details(&result))
	require.Equal(t, "the endpoint was deleted", result.Reason)
	record(t, d)
}

func TestDeadWithAnnouncement(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Enabled)
	d := deliver(t, 0, answers(postdate.Gone, 410), toEndpoint(t))
	status, _ := d.end()
	require.Equal(t, enumspb.WORKFLOW_EXECUTION_STATUS_FAILED, status)
	eventually.True(t, func() bool {
		_, announced := deadLetters.Load(d.id)
		return announced
	})
	record(t, d)
}

func TestPublished(t *testing.T) {
	t.Parallel()
	setEndpoint(t, postdate.Enabled)
	d := deliver(t, 0, answers(postdate.Accepted, 200), toEndpoint(t), func(in *protocol.DeliverInput) {
		in.Shipment.To = postdate.Destination{}
	})
	_, err := d.end()
	require.NoError(t, err)
	var result protocol.DeliverResult
	require.NoError(t, d.run.Get(t.Context(), &result))
	require.Equal(t, "published to 1 endpoints", result.Attempts.Last().Response)
	require.Equal(t, 1, <-d.arrived, "the subscriber gets it")
	record(t, d)
}
