package apiserver

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// sourceRequestsMetric counts requests to sources. Its labels are few: sources are known by
// their tenant alone, and reasons are a fixed list.
const sourceRequestsMetric = "postdate_source_requests"

// inboundResult is what became of a request to a source, as the metric names it.
type inboundResult string

const (
	inboundAccepted  inboundResult = "accepted"
	inboundDuplicate inboundResult = "duplicate"
	inboundHandshake inboundResult = "handshake"
	inboundRejected  inboundResult = "rejected"
)

// measureInbound registers the metric.
func (s *server) measureInbound() (err error) {
	if s.Meter == nil {
		return nil
	}
	s.inboundRequests, err = s.Meter.Int64Counter(sourceRequestsMetric,
		metric.WithDescription("Requests to sources, by what became of them, and where they were rejected by the reason."))
	if err != nil {
		return fmt.Errorf("metrics of sources: %w", err)
	}
	return nil
}

// count counts the request. Only one that is rejected has a reason.
func (t *taking) count(result inboundResult, reason string) {
	if t.inboundRequests == nil {
		return
	}
	labels := []attribute.KeyValue{attribute.String("tenant", t.tenant), attribute.String("result", string(result))}
	if reason != "" {
		labels = append(labels, attribute.String("reason", reason))
	}
	t.inboundRequests.Add(t.c.Request().Context(), 1, metric.WithAttributes(labels...))
}
