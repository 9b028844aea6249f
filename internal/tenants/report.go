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
	// failuresToReport is how many failures in a row it takes to say of an endpoint
	// that it fails: one or two mean little.
	failuresToReport = 3
	// reportPause is for how long an endpoint is not reported on again.
	reportPause = 10 * time.Second
	// reportsInFlight bounds the reports under way. One that finds no place is
	// left to a later attempt.
	reportsInFlight = 16
	// maxWatched bounds how many endpoints this process remembers.
	maxWatched = 10_000
)

// Report tells what an attempt at an endpoint came to. Where that changes what is
// known of the endpoint it is told to the tenant, in the background: an attempt
// never waits for it.
func (s *Store) Report(ctx context.Context, tenant, endpoint string, made postdate.Attempt) {
	configured := s.peek(tenant) // it was read just now, for the attempt
	if configured == nil {
		return
	}
	e, ok := configured.Endpoint(endpoint)
	if !ok || e.State != postdate.Enabled {
		return
	}
	of, now := watched{tenant, endpoint}, s.config.Now()
	switch made.Outcome {
	case postdate.Gone:
		s.report(ctx, of, 0, protocol.UpdateSetEndpointState, protocol.SetEndpointState{
			ID: endpoint, State: postdate.Disabled, Reason: "it answered 410 Gone",
		})
	case postdate.Failed:
		failures, since := s.watch.failed(of, now)
		disable := !e.FailingSince.IsZero() && now.Sub(e.FailingSince) >= s.config.DisableAfter
		if failures >= failuresToReport && (e.FailingSince.IsZero() || disable) {
			made.Response = "" // the reason is told to the operator, who need not read what receivers write
			s.report(ctx, of, reportPause, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{
				ID: endpoint, Failing: true, Since: since, Last: made.Summary(),
				DisableAfter: postdate.Duration(s.config.DisableAfter),
			})
		}
	case postdate.Accepted, postdate.Rescheduled:
		if telling := s.watch.succeeded(of, now); !telling && !e.FailingSince.IsZero() {
			s.reportRecovered(ctx, of)
		}
	default: // nothing was learned about the endpoint
	}
}

// Close waits for the reports under way.
func (s *Store) Close() { s.watch.reports.Wait() }

// report has the tenant take a report, unless one is under way or was made within
// the pause.
func (s *Store) report(ctx context.Context, of watched, pause time.Duration, update string, arg any) {
	if !s.watch.begin(of, s.config.Now(), pause) {
		return
	}
	ctx = context.WithoutCancel(ctx) // the attempt does not wait for it
	s.watch.reports.Go(func() {
		changed, err := s.change(ctx, of.tenant, false, update, arg)
		if err != nil && postdate.CodeOf(err) != postdate.NotFound { // deleted meanwhile
			s.config.Log.LogAttrs(ctx, slog.LevelError, "report on an endpoint",
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

// reportRecovered is not put off: there may be no further success to tell it by.
func (s *Store) reportRecovered(ctx context.Context, of watched) {
	s.report(ctx, of, 0, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: of.endpoint})
}

// watched names an endpoint.
type watched struct{ tenant, endpoint string }

// streak is how it went with one endpoint lately, as this process saw it.
type streak struct {
	failures int       // in a row
	since    time.Time // when the first of them was
	told     time.Time // when it was reported on last
	telling  bool
	// recovered: it succeeded while that was told, which is to be told next.
	recovered bool
}

// watch remembers the endpoints that fail, and those reported on just now.
type watch struct {
	reports sync.WaitGroup

	mu       sync.Mutex
	streaks  map[watched]*streak
	inFlight int
}

func newWatch() *watch { return &watch{streaks: make(map[watched]*streak)} }

// failed counts a failure, and answers how many there are in a row, since when.
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

// succeeded forgets the failures. It answers whether something is being told of
// the endpoint just now, after which the success will be.
func (w *watch) succeeded(of watched, now time.Time) (telling bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s, ok := w.streaks[of]
	switch {
	case !ok:
		return false
	case s.telling:
		s.failures, s.recovered = 0, true
		return true
	case now.Sub(s.told) < reportPause:
		s.failures = 0
	default:
		delete(w.streaks, of)
	}
	return false
}

// begin tells whether a report may be made now.
func (w *watch) begin(of watched, now time.Time, pause time.Duration) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streak(of)
	if s.telling || now.Sub(s.told) < pause || w.inFlight == reportsInFlight {
		return false
	}
	s.telling, s.told = true, now
	w.inFlight++
	return true
}

// end answers whether the endpoint has recovered meanwhile.
func (w *watch) end(of watched) (recovered bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.streak(of)
	recovered = s.recovered
	s.telling, s.recovered = false, false
	w.inFlight--
	return recovered
}

// streak is the endpoint's, made where there is none. Where there are too many
// another one is forgotten, whichever: it is known again after a few attempts.
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
