package ingest_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/deliverytest"
	"github.com/postdate/postdate/protocol"
)

// A workflow task that is shorter than the attempt in it lives by heartbeats.
func TestStart_ATaskLastsAsLongAsALongAttempt(t *testing.T) {
	t.Parallel()
	const usual, long = 10 * time.Second, 50 * time.Second
	a := deliverytest.New(t)
	patient := a.Endpoint("patient", deliverytest.Answering(http.StatusOK))
	a.Endpoint("patient and another", deliverytest.Answering(http.StatusOK))
	a.Configure(func(tenant *postdate.Tenant) {
		tenant.Endpoints[0].Timeout = postdate.Duration(long)
		tenant.Endpoints[0].EventTypes = append(tenant.Endpoints[0].EventTypes, "patient and another")
	})
	schedule := func(timeout time.Duration, to postdate.Destination) string {
		id := uuid.NewString()
		in := protocol.DeliverInput{Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: a.Name, Type: "t"}, To: to, Timeout: postdate.Duration(timeout), DueAt: inAnHour(),
		}}
		started, err := a.Start(t.Context(), in, protocol.Accepted{})
		require.NoError(t, err)
		return started.Execution.WorkflowID
	}
	publish := func(id, eventType string) string {
		published := a.PublishAll(postdate.Event{ID: id, Type: eventType, Data: []byte("{}")})
		delivered := a.Becomes(published[0].Deliveries[0].ID, postdate.Delivered)
		return delivered.Execution.WorkflowID
	}
	url := postdate.Destination{URL: "https://receiver.example"}
	for name, test := range map[string]struct {
		workflowID string
		want       time.Duration
	}{
		"a schedule":                 {schedule(15*time.Second, url), usual},
		"a patient schedule":         {schedule(long, url), long},
		"to a patient endpoint":      {schedule(0, postdate.Destination{Endpoint: patient}), long},
		"soon to a patient endpoint": {schedule(time.Second, postdate.Destination{Endpoint: patient}), usual},
		"an event":                   {publish("1", "patient"), long},
		"an event without an id":     {publish("", "patient"), long},
		"an event to two endpoints":  {publish("2", "patient and another"), usual},
	} {
		described, err := deliverytest.Temporal.DescribeWorkflowExecution(t.Context(), test.workflowID, "")
		require.NoError(t, err)
		require.Equal(t, test.want, described.GetExecutionConfig().GetDefaultWorkflowTaskTimeout().AsDuration(), name)
	}
}
