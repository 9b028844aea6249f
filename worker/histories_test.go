package worker_test

import (
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	historypb "go.temporal.io/api/history/v1"
	"go.temporal.io/sdk/client"
	"google.golang.org/protobuf/encoding/protojson"
)

var recordHistories = flag.Bool("record", false,
	"keep the histories of these executions for workflows to replay, where none of that name is kept yet")

// record keeps the history of d's first run under the test's name. What is kept
// is never written anew: executions of that shape may be asleep somewhere.
func record(t *testing.T, d *delivery) {
	t.Helper()
	recordRun(t, d.run, "deliver", strings.TrimPrefix(t.Name(), "Test"))
}

func recordRun(t *testing.T, run client.WorkflowRun, workflow, name string) {
	t.Helper()
	if !*recordHistories {
		return
	}
	path := filepath.Join("../workflows/testdata/histories", workflow, kebab(name)+".json")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return
	}
	events := engineClient.GetWorkflowHistory(t.Context(), run.GetID(), run.GetRunID(), false,
		enumspb.HISTORY_EVENT_FILTER_TYPE_ALL_EVENT)
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

// kebab writes FiredWhileAsleep as fired-while-asleep.
func kebab(name string) string {
	var out strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			out.WriteByte('-')
		}
		out.WriteRune(unicode.ToLower(r))
	}
	return out.String()
}
