package worker_test

import (
	"strings"
	"testing"
	"unicode"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/internal/historytest"
)

// record keeps the history of d's first run under the test's name.
func record(t *testing.T, d *delivery) {
	t.Helper()
	recordRun(t, d.run, "deliver/"+kebab(strings.TrimPrefix(t.Name(), "Test")))
}

func recordRun(t *testing.T, run client.WorkflowRun, name string) {
	t.Helper()
	historytest.Record(t, engineClient, name, run.GetID(), run.GetRunID())
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
