package deliveries_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.temporal.io/api/workflowservice/v1"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// A cancellation waits for the attempt that is under way, so that its operation runs as
// long as the test wants.
func TestOperation_RunsOneAtATimeForEachTenant(t *testing.T) {
	t.Parallel()
	a, other := deliverytest.New(t), deliverytest.New(t)
	answer, begun, finish := deliverytest.Held(http.StatusBadGateway)
	a.Endpoint("t", answer)
	a.PublishAll(postdate.Event{ID: "x", Type: "t"})
	<-begun
	a.Listed(1, postdate.Filter{State: postdate.Sending})
	cancel := func(of *deliverytest.Tenant, id string) error {
		return of.StartOperation(context.WithoutCancel(t.Context()), of.Name, id, protocol.SweepInput{
			Action: protocol.SweepCancel, Filter: postdate.Filter{Tenant: of.Name},
		})
	}
	require.NoError(t, cancel(a, "swp_1"))
	err := cancel(a, "swp_2")
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err))
	require.ErrorContains(t, err, "swp_1 is under way")
	require.NoError(t, cancel(other, "swp_2"), "another tenant has its own")
	eventually.True(t, func() bool {
		running, err := deliverytest.Temporal.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{
			Query: executions.Equals(protocol.AttrTenant, a.Name) + " AND WorkflowType = " + executions.Quote(protocol.SweepWorkflow) + " AND ExecutionStatus = 'Running'",
		})
		return err == nil && running.GetCount() == 1
	})
	err = cancel(a.Process(deliverytest.Options{}), "swp_3")
	require.Equal(t, postdate.Conflict, postdate.CodeOf(err), "another process finds it in Temporal's list")

	close(finish)
	require.NoError(t, deliverytest.Temporal.GetWorkflow(t.Context(), protocol.SweepID(a.Name, "swp_1"), "").Get(t.Context(), nil))
	eventually.True(t, func() bool { return cancel(a, "swp_4") == nil })
}
