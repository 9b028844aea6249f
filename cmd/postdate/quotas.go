package main

import (
	"fmt"
	"time"

	"go.opentelemetry.io/otel"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/internal/backlog"
	"github.com/postdate/postdate/internal/burst"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/quotas"
)

// minMaxBacklog is the least age from which on a backlog refuses anything: workers that only
// start anew are never behind that far.
const minMaxBacklog = time.Minute

func (c config) validateQuotas(complain func(name, rule string)) {
	for _, quota := range []struct {
		name  string
		value int
	}{
		{"TENANT_RATE_LIMIT", c.TenantRateLimit},
		{"TENANT_REQUESTS", c.TenantRequests},
		{"TENANT_PENDING_MESSAGES", c.TenantPending},
		{"TENANT_KEPT_MIB", c.TenantKeptMiB},
		{"TENANT_REQUEST_DELIVERIES", c.TenantDeliveries},
		{"TENANT_RESCHEDULES", c.TenantReschedules},
	} {
		if quota.value < 0 {
			complain(quota.name, "not negative")
		}
	}
	if c.MaxBacklog != 0 && c.MaxBacklog < minMaxBacklog {
		complain("MAX_BACKLOG", "at least 1m, or 0")
	}
}

// limits are what bounds what callers may have accepted, and how much of it starts at once.
type limits struct {
	quotas  *quotas.Store
	backlog *backlog.Watch
	burst   *burst.Rate
}

func (p process) limits(temporal client.Client, started *executions.Client) (limits, error) {
	meter := otel.Meter("postdate")
	kept, err := quotas.New(quotas.Config{
		Executions: started, Meter: meter, Now: time.Now,
		Limits: quotas.Amount{Messages: int64(p.TenantPending), Bytes: int64(p.TenantKeptMiB) << 20},
	})
	if err != nil {
		return limits{}, fmt.Errorf("quotas: %w", err)
	}
	watch, err := backlog.New(backlog.Config{
		Describe: backlog.DescribeBy(temporal, p.temporal.Namespace), Limit: p.MaxBacklog, Meter: meter, Log: p.log, Now: time.Now,
	})
	if err != nil {
		return limits{}, fmt.Errorf("backlog: %w", err)
	}
	rate, err := burst.New(p.burst())
	if err != nil {
		return limits{}, fmt.Errorf("bursts: %w", err)
	}
	return limits{quotas: kept, backlog: watch, burst: rate}, nil
}

// burst is by what bursts are let go. A process without a worker never sees how late they
// begin, so that what is set holds there.
func (p process) burst() burst.Config {
	c := burst.Config{Max: p.TenantBurstPerSecond, Meter: otel.Meter("postdate"), Now: time.Now}
	if !p.worker && p.burstIsSet {
		c.First = c.Max
	}
	return c
}
