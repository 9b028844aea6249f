package directory

import (
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/worker"
	"go.temporal.io/server/common/dynamicconfig"
	embedded "go.temporal.io/server/temporal"
	"go.temporal.io/server/temporaltest"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/postdate/postdate/workflows"
)

var recordHistories = flag.Bool("record", false,
	"keep the histories of these executions for workflows to replay, where none of that name is kept yet")

// record keeps the history of an execution's newest run, as far as it has come.
func (d *desk) record(workflow, name, workflowID string) {
	d.t.Helper()
	record(d.t, temporal, workflow, name, workflowID, "")
}

// record keeps the history of a run. What is kept is never written anew:
// executions of that shape may be open somewhere.
func record(t *testing.T, c client.Client, workflow, name, workflowID, runID string) {
	t.Helper()
	path := filepath.Join("../workflows/testdata/histories", workflow, name+".json")
	if _, err := os.Stat(path); !*recordHistories || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	events := c.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	history := &historypb.History{}
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	encoded, err := protojson.MarshalOptions{Multiline: true, Indent: " "}.Marshal(history)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, append(encoded, '\n'), 0o600))
}

// TestTenant_ContinuesAsNewWhileItIsChanged has an engine of its own, whose
// executions continue as new after a few changes instead of a thousand.
func TestTenant_ContinuesAsNewWhileItIsChanged(t *testing.T) {
	t.Parallel()
	server := temporaltest.NewServer(
		temporaltest.WithBaseClientOptions(client.Options{Identity: "recorder", Logger: log.NewStructuredLogger(slog.New(slog.DiscardHandler))}),
		temporaltest.WithBaseServerOptions(embedded.WithDynamicConfigClient(dynamicconfig.StaticClient{
			dynamicconfig.HistoryCountSuggestContinueAsNew.Key(): 25,
		})))
	defer server.Stop()
	w := worker.New(server.GetDefaultClient(), workflows.ControlQueue, worker.Options{})
	register(w)
	require.NoError(t, w.Start())
	defer w.Stop()

	const all = 60
	d := New(Config{Temporal: server.GetDefaultClient()})
	var group errgroup.Group
	for i := range all {
		group.Go(func() error {
			id := fmt.Sprintf("ep_%d", i)
			_, created, err := d.CreateEndpoint(t.Context(), "acme", endpoint(id))
			if err == nil && !created {
				err = errors.New(id + " was there already")
			}
			return err
		})
	}
	require.NoError(t, group.Wait())
	configured, err := d.Tenant(t.Context(), "acme")
	require.NoError(t, err)
	require.Len(t, configured.Endpoints, all)
	require.Equal(t, int64(all), configured.Version)

	last, err := server.GetDefaultClient().DescribeWorkflowExecution(t.Context(), workflows.TenantID("acme"), "")
	require.NoError(t, err)
	first := last.GetWorkflowExecutionInfo().GetFirstRunId()
	require.NotEqual(t, first, last.GetWorkflowExecutionInfo().GetExecution().GetRunId())
	record(t, server.GetDefaultClient(), "tenant", "continued-as-new", workflows.TenantID("acme"), first)
}
