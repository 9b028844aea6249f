package engine

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/operatorservice/v1"
	"go.temporal.io/api/workflowservice/v1"
)

func TestNamespace_HasTheRetentionOfTheLatestStart(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir()}
	e := start(t, config)
	require.Equal(t, DefaultRetention, retention(t, e))
	e.Stop()

	config.Retention = 36 * time.Hour
	require.Equal(t, 36*time.Hour, retention(t, start(t, config)))
}

func retention(t *testing.T, e *Engine) time.Duration {
	t.Helper()
	ns, err := dial(t, e).WorkflowService().DescribeNamespace(t.Context(),
		&workflowservice.DescribeNamespaceRequest{Namespace: "default"})
	require.NoError(t, err)
	return ns.GetConfig().GetWorkflowExecutionRetentionTtl().AsDuration()
}

func TestNamespace_GainsTheAttributesItLacks(t *testing.T) {
	t.Parallel()
	config := Config{DataDir: t.TempDir(), SearchAttributes: lists("Entity")}
	e := start(t, config)
	require.Equal(t, lists("Entity"), registered(t, e))
	e.Stop()

	config.SearchAttributes = attributes
	require.Equal(t, attributes, registered(t, start(t, config)))
}

func registered(t *testing.T, e *Engine) map[string]enumspb.IndexedValueType {
	t.Helper()
	list, err := dial(t, e).OperatorService().ListSearchAttributes(t.Context(),
		&operatorservice.ListSearchAttributesRequest{Namespace: "default"})
	require.NoError(t, err)
	return list.GetCustomAttributes()
}

func lists(names ...string) map[string]enumspb.IndexedValueType {
	m := map[string]enumspb.IndexedValueType{}
	for _, n := range names {
		m[n] = enumspb.INDEXED_VALUE_TYPE_KEYWORD_LIST
	}
	return m
}
