package historytest

import (
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/server/common/dynamicconfig"
	embedded "go.temporal.io/server/temporal"
	"go.temporal.io/server/temporaltest"
)

// ShortRuns is the client of an engine of the test's own, which asks executions to
// continue as new after so many events, instead of thousands.
func ShortRuns(t *testing.T, events int, attributes []temporal.SearchAttributeKey) client.Client {
	t.Helper()
	server := temporaltest.NewServer(
		temporaltest.WithBaseClientOptions(client.Options{Identity: "recorder", Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}),
		temporaltest.WithBaseServerOptions(embedded.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.HistoryCountSuggestContinueAsNew.Key(): events,
			dynamicconfig.NamespaceCacheRefreshInterval.Key():    50 * time.Millisecond,
		})))
	t.Cleanup(server.Stop)
	c := server.GetDefaultClient()
	types := make(map[string]enumspb.IndexedValueType)
	for _, attribute := range attributes {
		types[attribute.GetName()] = attribute.GetValueType()
	}
	_, err := c.OperatorService().AddSearchAttributes(t.Context(), &operatorservice.AddSearchAttributesRequest{
		Namespace: server.GetDefaultNamespace(), SearchAttributes: types,
	})
	require.NoError(t, err)
	require.Eventually(t, func() bool { // all of the engine knows them
		_, err := c.CountWorkflow(t.Context(), &workflowservice.CountWorkflowExecutionsRequest{Query: attributes[0].GetName() + " IS NULL"})
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return c
}

// Runs are the ids of an execution's runs, the oldest first: each continued as the next.
func Runs(t *testing.T, c client.Client, workflowID string) (ids []string) {
	t.Helper()
	described, err := c.DescribeWorkflowExecution(t.Context(), workflowID, "")
	require.NoError(t, err)
	first, last := described.GetWorkflowExecutionInfo().GetFirstRunId(), described.GetWorkflowExecutionInfo().GetExecution().GetRunId()
	for id := first; id != last; {
		ids = append(ids, id)
		events := Of(t, c, workflowID, id).GetEvents()
		id = events[len(events)-1].GetWorkflowExecutionContinuedAsNewEventAttributes().GetNewExecutionRunId()
		require.NotEmpty(t, id)
	}
	return append(ids, last)
}
