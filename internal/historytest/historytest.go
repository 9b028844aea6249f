// Package historytest keeps the histories of executions that tests ran on a real
// engine, so that workflows replays them ever after.
package historytest

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	commonpb "go.temporal.io/api/common/v1"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/api/proxy"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"google.golang.org/protobuf/encoding/protojson"
)

var recording = flag.Bool("record", false,
	"keep the histories of these executions for workflows to replay, where none of that name is kept yet")

// Record keeps the history of a run, as far as it has come, under a name like
// "tenant/changes": that of the newest run where runID is empty. What is kept is
// never written anew: executions of that shape may be open somewhere.
func Record(t *testing.T, c client.Client, name, workflowID, runID string) {
	t.Helper()
	path := filepath.Join(root(t), "workflows/testdata/histories", name+".json")
	if _, err := os.Stat(path); !*recording || !errors.Is(err, fs.ErrNotExist) {
		return
	}
	history := Of(t, c, workflowID, runID)
	require.NoError(t, proxy.VisitPayloads(t.Context(), history, proxy.VisitPayloadsOptions{Visitor: decompress}))
	encoded, err := protojson.MarshalOptions{Multiline: true, Indent: " "}.Marshal(history)
	require.NoError(t, err)
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o750))
	require.NoError(t, os.WriteFile(path, append(encoded, '\n'), 0o600))
}

// decompress has a history kept as it is without the codec of the test that ran it.
func decompress(_ *proxy.VisitPayloadsContext, payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	return converter.NewZlibCodec(converter.ZlibCodecOptions{}).Decode(payloads) //nolint:wrapcheck // it fails the test
}

// Of is the history of a run, as far as it has come: of the newest where runID is empty.
func Of(t *testing.T, c client.Client, workflowID, runID string) *historypb.History {
	t.Helper()
	history := &historypb.History{}
	events := c.GetWorkflowHistory(t.Context(), workflowID, runID, false, enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
	for events.HasNext() {
		event, err := events.Next()
		require.NoError(t, err)
		history.Events = append(history.Events, event)
	}
	return history
}

// root is the folder of the module whose test runs.
func root(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	require.NoError(t, err)
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		require.NotEqual(t, filepath.Dir(dir), dir, "no go.mod above")
		dir = filepath.Dir(dir)
	}
}
