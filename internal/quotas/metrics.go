package quotas

import (
	"context"
	"errors"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/postdate/postdate"
)

// The names of the metrics.
const (
	usedMetric     = "postdate_quota_used"
	limitMetric    = "postdate_quota_limit"
	refusalsMetric = "postdate_quota_refusals"
)

// maxMeasured bounds the tenants whose use is measured: those that use most.
const maxMeasured = 1000

// The quotas, as metrics name them.
var (
	ofPending = attribute.String("quota", string(postdate.QuotaPending))
	ofBytes   = attribute.String("quota", string(postdate.QuotaBytes))
)

// measure registers the metrics.
func (s *Store) measure() error {
	if s.config.Meter == nil {
		return nil
	}
	var errs [4]error
	var used, limit metric.Int64ObservableGauge
	s.refused, errs[0] = s.config.Meter.Int64Counter(refusalsMetric,
		metric.WithDescription("Requests that a quota of the tenant refused."))
	used, errs[1] = s.config.Meter.Int64ObservableGauge(usedMetric,
		metric.WithDescription("What a tenant uses of a quota, for those who lately used most."))
	limit, errs[2] = s.config.Meter.Int64ObservableGauge(limitMetric,
		metric.WithDescription("What each tenant may use of a quota. 0: no limit."))
	_, errs[3] = s.config.Meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(limit, s.config.Limits.Messages, metric.WithAttributes(ofPending))
		o.ObserveInt64(limit, s.config.Limits.Bytes, metric.WithAttributes(ofBytes))
		for tenant, amount := range s.most() {
			name := attribute.String("tenant", tenant)
			o.ObserveInt64(used, amount.Messages, metric.WithAttributes(ofPending, name))
			o.ObserveInt64(used, amount.Bytes, metric.WithAttributes(ofBytes, name))
		}
		return nil
	}, used, limit)
	return errors.Join(errs[:]...)
}

// most is what those tenants use that use most.
func (s *Store) most() map[string]Amount {
	s.mu.Lock()
	tenants := maps.Clone(s.tenants)
	s.mu.Unlock()
	amounts := make(map[string]Amount, len(tenants))
	for name, u := range tenants {
		amounts[name] = u.with(Amount{})
	}
	if len(amounts) <= maxMeasured {
		return amounts
	}
	names := slices.SortedFunc(maps.Keys(amounts), func(a, b string) int { return int(amounts[b].Messages - amounts[a].Messages) })
	for _, name := range names[maxMeasured:] {
		delete(amounts, name)
	}
	return amounts
}

// CountRefusal measures that a quota refused a request of a tenant.
func (s *Store) CountRefusal(ctx context.Context, tenant string, quota postdate.Code) {
	if s.refused != nil {
		s.refused.Add(ctx, 1, metric.WithAttributes(attribute.String("quota", string(quota)), attribute.String("tenant", tenant)))
	}
}

func (s *Store) countRefusal(ctx context.Context, tenant string, err error) {
	s.CountRefusal(ctx, tenant, postdate.CodeOf(err))
}
