package consume

import (
	"context"
	"errors"
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
)

// The names of the metrics.
const (
	recordsMetric = "postdate_stream_records"
	lagMetric     = "postdate_stream_lag"
	rateMetric    = "postdate_stream_rate"
	stateMetric   = "postdate_stream_consuming"
)

// measure registers the metrics.
func (s *Consumers) measure(meter metric.Meter) error {
	if meter == nil || len(s.all) == 0 {
		return nil
	}
	var errs [5]error
	var records metric.Int64ObservableCounter
	var lag, state metric.Int64ObservableGauge
	var rate metric.Float64ObservableGauge
	records, errs[0] = meter.Int64ObservableCounter(recordsMetric, metric.WithDescription("Records that were taken from a stream, by their result."))
	lag, errs[1] = meter.Int64ObservableGauge(lagMetric, metric.WithDescription("Records of a stream that wait to be taken, as this process knows."))
	rate, errs[2] = meter.Float64ObservableGauge(rateMetric, metric.WithDescription("Records that were taken per second, in the last ten."))
	state, errs[3] = meter.Int64ObservableGauge(stateMetric, metric.WithDescription("1 for the state in which the consuming of a stream is."))
	_, errs[4] = meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		for _, status := range s.All() {
			stream := attribute.String("stream", status.Name)
			o.ObserveInt64(records, status.Accepted, metric.WithAttributes(stream, attribute.String("result", "accepted")))
			o.ObserveInt64(records, status.Rejected, metric.WithAttributes(stream, attribute.String("result", "rejected")))
			if status.Lag >= 0 {
				o.ObserveInt64(lag, status.Lag, metric.WithAttributes(stream))
			}
			o.ObserveFloat64(rate, status.PerSecond, metric.WithAttributes(stream))
			o.ObserveInt64(state, 1, metric.WithAttributes(stream, attribute.String("state", string(status.State))))
		}
		return nil
	}, records, lag, rate, state)
	if err := errors.Join(errs[:]...); err != nil {
		return fmt.Errorf("metrics of streams: %w", err)
	}
	return nil
}
