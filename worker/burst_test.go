package worker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

func TestRescheduledOutOfABurst(t *testing.T) {
	t.Parallel()
	id, due := unique(t), time.Now().UTC().Add(time.Hour)
	run, err := engineClient.ExecuteWorkflow(t.Context(), client.StartWorkflowOptions{
		ID: protocol.ScheduleID("default", id), TaskQueue: protocol.TaskQueue, StartDelay: time.Hour,
		TypedSearchAttributes: temporal.NewSearchAttributes(
			protocol.AttrTenant.ValueSet("default"), protocol.AttrBurst.ValueSet(protocol.BurstOf("default", due))),
	}, protocol.DeliverWorkflow, protocol.DeliverInput{
		Shipment: protocol.DeliveryTask{
			Message: postdate.Message{ID: id, Tenant: "default", Type: "payment_request.due", Timestamp: due},
			To:      postdate.Destination{URL: "https://b.example/hooks"}, DueAt: due,
			Timeout: postdate.Duration(postdate.DefaultTimeout),
		},
	})
	require.NoError(t, err)
	d := &delivery{t: t, id: id, run: run}
	later := due.Add(time.Hour)
	_, err = d.update(protocol.UpdateReschedule, postdate.Change{DueAt: &later})
	require.NoError(t, err)
	d.requireAsleepUntil(later)
	record(t, d)
	described, err := engineClient.DescribeWorkflowExecution(t.Context(), run.GetID(), "")
	require.NoError(t, err)
	fields := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()
	require.Contains(t, fields, protocol.AttrTenant.GetName())
	require.NotContains(t, fields, protocol.AttrBurst.GetName())
}

// What is changed counts by the bytes that it has then.
func TestChangedToMoreData(t *testing.T) {
	t.Parallel()
	d := deliver(t, time.Hour, answers(postdate.Accepted, 200))
	size := func() string {
		t.Helper()
		described, err := engineClient.DescribeWorkflowExecution(t.Context(), d.run.GetID(), "")
		require.NoError(t, err)
		var shown string
		if payload := described.GetWorkflowExecutionInfo().GetSearchAttributes().GetIndexedFields()[protocol.AttrSize.GetName()]; payload != nil {
			require.NoError(t, converter.GetDefaultDataConverter().FromPayload(payload, &shown))
		}
		return shown
	}
	require.Empty(t, size())
	change := func(data string) {
		t.Helper()
		_, err := d.update(protocol.UpdateReschedule, postdate.Change{Data: []byte(`"` + data + `"`)})
		require.NoError(t, err)
	}
	change(strings.Repeat("x", 5<<10))
	record(t, d)
	eventually.True(t, func() bool { return size() == "4" }, 10*time.Second, 10*time.Millisecond)
	change("small")
	eventually.True(t, func() bool { return size() == "" }, 10*time.Second, 10*time.Millisecond)
}
