package tenants

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

const (
	// canaryReportInterval is how long attempts at both sides of a canary are counted here
	// before they are reported.
	canaryReportInterval = 3 * time.Second
	// canaryReportTimeout bounds a report. One that fails is added to the next.
	canaryReportTimeout = 10 * time.Second
	// maxCanaryReports bounds how many endpoints are counted at once.
	maxCanaryReports = 10_000
)

// canaryOf names the canary of an endpoint.
type canaryOf struct{ tenant, endpoint, canary string }

// canaryCounts are the attempts at both sides that were not reported yet. Both are reported
// together, so that they are compared over the same time.
type canaryCounts struct {
	mu      sync.Mutex
	counts  map[canaryOf]protocol.CanaryCounts
	timer   *time.Timer
	reports sync.WaitGroup // a timer that is set, or a report under way
}

// countCanary counts an attempt at an endpoint that has a canary. One that was made at
// another canary says nothing of this one.
func (s *Store) countCanary(tenant string, e postdate.Endpoint, attempt postdate.Attempt) {
	if !e.Canary.Active() || attempt.Canary != "" && attempt.Canary != e.Canary.ID {
		return
	}
	var one protocol.CanaryCounts
	if attempt.Canary == "" {
		one.Primary = one.Primary.Count(attempt)
	} else {
		one.AtCanary = one.AtCanary.Count(attempt)
	}
	s.addCanary(canaryOf{tenant, e.ID, e.Canary.ID}, one, false)
}

// addCanary adds counts to those that are to be reported: later ones, or earlier ones, which
// could not be.
func (s *Store) addCanary(of canaryOf, more protocol.CanaryCounts, earlier bool) {
	c := &s.canaries
	c.mu.Lock()
	defer c.mu.Unlock()
	known, counted := c.counts[of]
	switch {
	case !counted && len(c.counts) >= maxCanaryReports:
		return
	case c.counts == nil:
		c.counts = make(map[canaryOf]protocol.CanaryCounts)
	}
	if earlier {
		known, more = more, known
	}
	c.counts[of] = known.Add(more)
	if c.timer == nil {
		c.reports.Add(1)
		c.timer = time.AfterFunc(s.config.CanaryReportInterval, s.reportCanaries)
	}
}

// reportCanaries reports what was counted to the executions of the endpoints.
func (s *Store) reportCanaries() {
	c := &s.canaries
	c.mu.Lock()
	counts := c.counts
	c.counts, c.timer = nil, nil
	c.mu.Unlock()
	defer c.reports.Done()
	for of, counted := range counts {
		ctx, stop := context.WithTimeout(context.Background(), canaryReportTimeout)
		err := s.reportCanary(ctx, of, counted)
		stop()
		if err != nil {
			s.config.Log.LogAttrs(context.Background(), slog.LevelWarn, "failed to report on a canary",
				slog.String("tenant", of.tenant), slog.String("endpoint", of.endpoint), slog.String("error", err.Error()))
			s.addCanary(of, counted, true)
		}
	}
}

// reportCanary reports counts to the execution of an endpoint, which it starts where there
// is none. One that has no such canary any more need not know.
func (s *Store) reportCanary(ctx context.Context, of canaryOf, counts protocol.CanaryCounts) error {
	tenant, err := s.Tenant(ctx, of.tenant)
	if err != nil {
		return err
	}
	settings := protocol.SettingsOf(tenant, of.endpoint, s.config.MaxInFlight)
	if !settings.Canary.Active() || settings.Canary.ID != of.canary {
		return nil
	}
	return s.signalOrStart(ctx, of.tenant, of.endpoint, protocol.SignalCanary,
		protocol.CanaryReport{Settings: settings, Canary: of.canary, CanaryCounts: counts}, settings)
}

// signalOrStart signals to the execution of an endpoint, and starts it where there is none.
func (s *Store) signalOrStart(ctx context.Context, tenant, endpoint, signal string, arg any, settings protocol.EndpointSettings) error {
	return retry.With(ctx, func(ctx context.Context) error {
		_, err := s.config.Temporal.SignalWithStartWorkflow(ctx, protocol.EndpointID(tenant, endpoint), signal, arg,
			protocol.EndpointOptions(tenant, endpoint), protocol.EndpointWorkflow,
			protocol.EndpointInput{Tenant: tenant, ID: endpoint, Settings: settings})
		return err
	})
}

// SignalEndpoint signals to the execution of an endpoint, and to that of its canary, what is
// configured now. It starts the endpoint's where the canary takes something.
func (s *Store) SignalEndpoint(ctx context.Context, of protocol.CanaryRef) error {
	tenant, err := s.Fresh(ctx, of.Tenant)
	if err != nil {
		return err
	}
	key := postdate.CanaryKey(of.Endpoint, of.Canary)
	atCanary := protocol.SettingsOf(tenant, key, s.config.MaxInFlight)
	if err := s.signalRunning(ctx, of.Tenant, key, atCanary); err != nil {
		return err
	}
	settings := protocol.SettingsOf(tenant, of.Endpoint, s.config.MaxInFlight)
	if !settings.Canary.Active() {
		return s.signalRunning(ctx, of.Tenant, of.Endpoint, settings)
	}
	return s.signalOrStart(ctx, of.Tenant, of.Endpoint, protocol.SignalSettings, settings, settings)
}

// signalRunning signals settings to the execution of an endpoint, where it has one.
func (s *Store) signalRunning(ctx context.Context, tenant, endpoint string, settings protocol.EndpointSettings) error {
	err := s.config.Temporal.SignalWorkflow(ctx, protocol.EndpointID(tenant, endpoint), "", protocol.SignalSettings, settings)
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return nil
	}
	return err
}

// CanaryAction does something with an endpoint's canary.
func (s *Store) CanaryAction(ctx context.Context, tenant string, change protocol.ChangeCanary) (postdate.Endpoint, error) {
	return s.changeEndpoint(ctx, tenant, change.ID, protocol.UpdateChangeCanary, change)
}

// ChangeCanary changes a canary, as the execution of its endpoint has decided, and returns
// the endpoint's settings after that.
func (s *Store) ChangeCanary(ctx context.Context, tenant string, change protocol.ChangeCanary) (protocol.EndpointSettings, error) {
	_, err := s.change(ctx, tenant, false, protocol.UpdateChangeCanary, change)
	if code := postdate.CodeOf(err); err != nil && code != postdate.NotFound && code != postdate.Conflict {
		return protocol.EndpointSettings{}, err
	}
	configured, err := s.Fresh(ctx, tenant)
	if err != nil {
		return protocol.EndpointSettings{}, err
	}
	return protocol.SettingsOf(configured, change.ID, s.config.MaxInFlight), nil
}

// closeCanaries reports what was counted last, and waits for the reports under way.
func (s *Store) closeCanaries() {
	c := &s.canaries
	c.mu.Lock()
	if c.timer != nil && c.timer.Stop() {
		c.timer.Reset(0)
	}
	c.mu.Unlock()
	c.reports.Wait()
}

// reportAtCanary reports an attempt at a canary: that says nothing of its endpoint. A canary
// that wants nothing any more is rolled back.
func (s *Store) reportAtCanary(ctx context.Context, of watched, attempt postdate.Attempt) {
	if !attempt.Disable {
		return
	}
	asked := "it asked for that by webhook-delivery: disable"
	if attempt.Status == http.StatusGone {
		asked = "it answered 410 Gone"
	}
	s.report(ctx, watched{of.tenant, postdate.CanaryKey(of.endpoint, attempt.Canary)}, 0, protocol.UpdateChangeCanary, protocol.ChangeCanary{
		ID: of.endpoint, Canary: attempt.Canary, Action: protocol.CanaryRollback, Auto: true, Reason: asked,
	})
}
