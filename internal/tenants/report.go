package tenants

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const (
	// failuresToReport is how many failures in a row make an endpoint count as failing:
	// one or two mean little.
	failuresToReport = 3
	// reportPause is the shortest time between two reports on an endpoint.
	reportPause = 10 * time.Second
	// reportsInFlight bounds the reports under way. Beyond it a report is left to a
	// later attempt.
	reportsInFlight = 16
	// maxWatched bounds how many endpoints this process remembers.
	maxWatched = 10_000
)

// Report records the outcome of an attempt at an endpoint. Where the endpoint begins to
// fail, recovers or is gone, that is reported to the tenant's execution in the
// background: an attempt never waits for it.
func (s *Store) Report(ctx context.Context, tenant, endpoint string, attempt postdate.Attempt) {
	configured := s.peek(tenant) // it was read just now, for the attempt
	if configured == nil {
		return
	}
	e, ok := configured.Endpoint(endpoint)
	if !ok || e.State != postdate.Enabled {
		return
	}
	s.countCanary(tenant, e, attempt)
	of, now := watched{tenant, endpoint}, s.config.Now()
	if attempt.Canary != "" {
		s.reportAtCanary(ctx, of, attempt)
		return
	}
	if attempt.Disable {
		s.report(ctx, of, 0, protocol.UpdateSetEndpointState, protocol.SetEndpointState{
			ID: endpoint, State: postdate.Disabled, Reason: "it asked for that by webhook-delivery: disable",
		})
		return
	}
	switch attempt.Outcome {
	case postdate.Gone:
		s.report(ctx, of, 0, protocol.UpdateSetEndpointState, protocol.SetEndpointState{
			ID: endpoint, State: postdate.Disabled, Reason: "it answered 410 Gone",
		})
	case postdate.Failed:
		failures, since := s.watch.failed(of, now)
		disable := !e.FailingSince.IsZero() && now.Sub(e.FailingSince) >= s.config.DisableAfter
		if failures >= failuresToReport && (e.FailingSince.IsZero() || disable) {
			attempt.Response = "" // the reason is shown to the operator, and receivers' text is not
			s.report(ctx, of, reportPause, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{
				ID: endpoint, Failing: true, Since: since, Last: attempt.Summary(),
				DisableAfter: postdate.Duration(s.config.DisableAfter),
			})
		}
	case postdate.Accepted, postdate.Rescheduled:
		if reporting := s.watch.succeeded(of, now); !reporting && !e.FailingSince.IsZero() {
			s.reportRecovered(ctx, of)
		}
	default: // nothing was learned about the endpoint
	}
}

// Close waits for the reports under way.
func (s *Store) Close() {
	s.closeCanaries()
	s.watch.reports.Wait()
}

// report sends a report to the tenant's execution, unless one is under way or was sent
// within pause.
func (s *Store) report(ctx context.Context, of watched, pause time.Duration, update string, arg any) {
	if !s.watch.begin(of, s.config.Now(), pause) {
		return
	}
	ctx = context.WithoutCancel(ctx) // the attempt does not wait for it
	s.watch.reports.Go(func() {
		changed, err := s.change(ctx, of.tenant, false, update, arg)
		if err != nil && postdate.CodeOf(err) != postdate.NotFound { // it was deleted in between
			s.config.Log.LogAttrs(ctx, slog.LevelError, "failed to report on an endpoint",
				slog.String("tenant", of.tenant), slog.String("endpoint", of.endpoint), slog.String("error", err.Error()))
		}
		if err == nil && changed.Endpoint != nil && changed.Endpoint.State != postdate.Enabled {
			s.signalSettings(ctx, of.tenant, of.endpoint, changed.Version, changed.Endpoint)
		}
		if recovered := s.watch.end(of); recovered {
			s.reportRecovered(ctx, of)
		}
	})
}

// reportRecovered reports at once: there may be no further success to report.
func (s *Store) reportRecovered(ctx context.Context, of watched) {
	s.report(ctx, of, 0, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: of.endpoint})
}

// watched names an endpoint.
type watched struct{ tenant, endpoint string }

// streak is how the last attempts at one endpoint went, as this process saw them.
type streak struct {
	failures  int       // in a row
	since     time.Time // when the first of them was
	reported  time.Time // when the last report began
	reporting bool
	// recovered says that it succeeded during a report, which is to be reported next.
	recovered bool
}

// watch remembers the endpoints that fail, and the reports of the last seconds.
type watch struct {
	reports sync.WaitGroup

	mu       sync.Mutex
	streaks  map[watched]*streak
	inFlight int
}

func newWatch() *watch { return &watch{streaks: make(map[watched]*streak)} }

// failed counts a failure. It returns how many there are in a row, and since when.
func (w *watch) failed(of watched, now time.Time) (failures int, since time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streak(of)
	if s.failures == 0 {
		s.since = now
	}
	s.failures++
	s.recovered = false
	return s.failures, s.since
}

// succeeded resets the failures. It reports whether a report is under way, after which
// the success is reported.
func (w *watch) succeeded(of watched, now time.Time) (reporting bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.streaks[of]
	switch {
	case !ok:
		return false
	case s.reporting:
		s.failures, s.recovered = 0, true
		return true
	case now.Sub(s.reported) < reportPause:
		s.failures = 0
	default:
		delete(w.streaks, of)
	}
	return false
}

// begin reports whether a report may be sent now.
func (w *watch) begin(of watched, now time.Time, pause time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streak(of)
	if s.reporting || now.Sub(s.reported) < pause || w.inFlight == reportsInFlight {
		return false
	}
	s.reporting, s.reported = true, now
	w.inFlight++
	return true
}

// end reports whether the endpoint recovered during the report.
func (w *watch) end(of watched) (recovered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streak(of)
	recovered = s.recovered
	s.reporting, s.recovered = false, false
	w.inFlight--
	return recovered
}

// streak returns the endpoint's streak, and creates it where there is none. Where there
// are too many, any other one is dropped: a few attempts restore it.
func (w *watch) streak(of watched) *streak {
	s, ok := w.streaks[of]
	if ok {
		return s
	}
	if len(w.streaks) >= maxWatched {
		for other := range w.streaks {
			delete(w.streaks, other)
			break
		}
	}
	s = &streak{}
	w.streaks[of] = s
	return s
}
