package apiserver_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/postdate/postdate/apiserver"
)

func TestSources_AreMeasured(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	a := newAPI(t, func(c *apiserver.Config) {
		c.Meter = sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader)).Meter("test")
	})
	to, _ := collected()
	source := a.source(github(map[string]any{"url": to}))
	for range 3 {
		a.send(http.MethodPost, source.Path, "{}", signed("{}", "same")...)
	}
	a.send(http.MethodHead, source.Path, "")
	a.send(http.MethodPost, source.Path, "{}")
	a.send(http.MethodPost, source.Path, "{ }", signed("{}", "x")...)
	a.send(http.MethodPost, source.Path, "{}", append(signed("{}", "x"), "Content-Encoding", "br")...)
	a.send(http.MethodPost, "/in/pdi_unknown", "{}").is(http.StatusNotFound)

	var collected metricdata.ResourceMetrics
	require.NoError(t, reader.Collect(t.Context(), &collected))
	require.Len(t, collected.ScopeMetrics, 1)
	require.Equal(t, "postdate_source_requests", collected.ScopeMetrics[0].Metrics[0].Name)
	sum, ok := collected.ScopeMetrics[0].Metrics[0].Data.(metricdata.Sum[int64])
	require.True(t, ok)
	values := make(map[string]int64)
	for _, point := range sum.DataPoints {
		tenant, _ := point.Attributes.Value(attribute.Key("tenant"))
		require.Equal(t, a.tenant, tenant.AsString())
		result, _ := point.Attributes.Value("result")
		reason, _ := point.Attributes.Value("reason")
		values[result.AsString()+" "+reason.AsString()] = point.Value
	}
	require.Equal(t, map[string]int64{
		"accepted ": 1, "duplicate ": 2, "handshake ": 1, "rejected not_signed": 1, "rejected bad_signature": 1,
		"rejected unsupported_media_type": 1,
	}, values)
}
