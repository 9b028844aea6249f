package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	otelprometheus "go.opentelemetry.io/otel/exporters/prometheus"
	"go.opentelemetry.io/otel/propagation"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.temporal.io/sdk/client"
	temporalotel "go.temporal.io/sdk/contrib/opentelemetry"
)

// telemetry is what the process tells of itself: metrics to whoever asks for
// /metrics, traces where OpenTelemetry's own variables name a collector.
type telemetry struct {
	metrics  http.Handler
	temporal client.MetricsHandler
	stop     func(context.Context) error
}

func startTelemetry(ctx context.Context, environ []string) (*telemetry, error) {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	exporter, err := otelprometheus.New(otelprometheus.WithRegisterer(registry))
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	meters := sdkmetric.NewMeterProvider(sdkmetric.WithReader(exporter), sdkmetric.WithView(sdkmetric.NewView(
		sdkmetric.Instrument{Name: "http.server.*"},
		// Taken from the header Host, it would be for callers to choose.
		sdkmetric.Stream{AttributeFilter: attribute.NewDenyKeysFilter("server.address", "server.port")},
	)), sdkmetric.WithView(sdkmetric.NewView(
		sdkmetric.Instrument{Name: "temporal_*_latency"},
		// In seconds: the default's boundaries begin at five of them.
		sdkmetric.Stream{Aggregation: sdkmetric.AggregationExplicitBucketHistogram{
			Boundaries: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30, 60},
		}},
	)))
	otel.SetMeterProvider(meters)

	// Without a collector nothing is recorded, but every request still gets a
	// trace id, which its deliveries carry.
	tracing := []trace.TracerProviderOption{trace.WithSampler(trace.ParentBased(trace.NeverSample()))}
	if slices.ContainsFunc(environ, namesCollector) {
		spans, err := otlptracegrpc.New(ctx)
		if err != nil {
			return nil, fmt.Errorf("traces: %w", err)
		}
		tracing = []trace.TracerProviderOption{trace.WithBatcher(spans)}
	}
	tracers := trace.NewTracerProvider(tracing...)
	otel.SetTracerProvider(tracers)
	otel.SetTextMapPropagator(propagation.TraceContext{})

	return &telemetry{
		metrics: promhttp.HandlerFor(registry, promhttp.HandlerOpts{}),
		temporal: temporalotel.NewMetricsHandler(temporalotel.MetricsHandlerOptions{
			Meter:                meters.Meter("temporal-sdk-go"),
			OnError:              otel.Handle,
			UseMonotonicCounters: true,
		}),
		stop: tracers.Shutdown,
	}, nil
}

func namesCollector(variable string) bool {
	return strings.HasPrefix(variable, "OTEL_EXPORTER_OTLP_ENDPOINT=") ||
		strings.HasPrefix(variable, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=")
}
