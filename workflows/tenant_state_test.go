package workflows_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

const fiveDays = postdate.Duration(5 * 24 * time.Hour)

func failing(since time.Time) protocol.ReportEndpoint {
	return protocol.ReportEndpoint{ID: "ep_1", Failing: true, Since: since, Last: "HTTP 500 Internal Server Error", DisableAfter: fiveDays}
}

func state(of postdate.EndpointState, reason string) protocol.SetEndpointState {
	return protocol.SetEndpointState{ID: "ep_1", State: of, Reason: reason}
}

func TestTenant_SendsWhatIsParkedOnceEnabled(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	paused := e.update(time.Minute, protocol.UpdateSetEndpointState, state(postdate.Paused, "maintenance"))
	again := e.update(time.Minute, protocol.UpdateSetEndpointState, state(postdate.Paused, "never mind"))
	enabled := e.update(time.Minute, protocol.UpdateSetEndpointState, state(postdate.Enabled, ""))
	already := e.update(time.Minute, protocol.UpdateSetEndpointState, state(postdate.Enabled, ""))
	next := e.run()

	require.Equal(t, postdate.Paused, paused.Endpoint.State)
	require.Equal(t, "maintenance", paused.Endpoint.Reason)
	require.Equal(t, "maintenance", again.Endpoint.Reason)
	require.Equal(t, paused.Version, again.Version)
	require.Empty(t, paused.Sweep)
	require.Equal(t, "ep_1-9", enabled.Sweep)
	require.Empty(t, already.Sweep)
	require.Equal(t, postdate.Enabled, next.Tenant.Endpoints[0].State)
	require.Empty(t, next.Tenant.Endpoints[0].Reason)
	require.Equal(t, []protocol.SweepInput{{
		Action: protocol.SweepRelease,
		Filter: postdate.Filter{Tenant: "acme", Endpoint: "ep_1", State: postdate.Parked},
	}}, e.sweeps)
	require.Empty(t, e.announced, "what its owner does is no news")
}

func TestTenant_CancelsWhatWasForADeletedEndpoint(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"), endpoint("ep_2"))
	deleted := e.update(time.Minute, protocol.UpdateDeleteEndpoint, "ep_1")
	next := e.run()

	require.Equal(t, "ep_1", deleted.Endpoint.ID)
	require.Equal(t, "ep_1-8", deleted.Sweep)
	require.Equal(t, []postdate.Endpoint{endpoint("ep_2")}, next.Tenant.Endpoints)
	require.Equal(t, []protocol.SweepInput{{
		Action: protocol.SweepCancel,
		Filter: postdate.Filter{Tenant: "acme", Endpoint: "ep_1", AcceptedBefore: new(start.Add(time.Minute))},
	}}, e.sweeps)
}

func TestTenant_DisablesWhatFailsForFiveDays(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	since := start.Add(-time.Minute)
	first := e.update(0, protocol.UpdateReportEndpoint, failing(since))
	second := e.update(4*24*time.Hour, protocol.UpdateReportEndpoint, failing(start.Add(time.Hour)))
	last := e.update(24*time.Hour, protocol.UpdateReportEndpoint, failing(start.Add(time.Hour)))
	late := e.update(time.Minute, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: "ep_1"})
	next := e.run()

	require.Equal(t, since, first.Endpoint.FailingSince.UTC())
	require.Equal(t, first.Version, second.Version, "it is known already")
	require.Equal(t, postdate.Disabled, last.Endpoint.State)
	require.Equal(t, "failed for 5 days: HTTP 500 Internal Server Error", last.Endpoint.Reason)
	require.Equal(t, last.Version, late.Version, "a report on what is not sent to came too late")
	require.Equal(t, postdate.Disabled, next.Tenant.Endpoints[0].State)

	require.Equal(t, []string{postdate.EndpointFailing, postdate.EndpointDisabled}, e.types())
	require.NotEqual(t, e.announced[0].ID, e.announced[1].ID)
	require.Equal(t, "acme", e.announced[1].Tenant)
	require.Equal(t, start.Add(5*24*time.Hour), e.announced[1].At.UTC())
	require.JSONEq(t, `{"tenant":"acme","endpoint":"ep_1","host":"crm.example",
		"reason":"failed for 5 days: HTTP 500 Internal Server Error","failing_since":"2026-11-21T08:59:00Z"}`, string(e.announced[1].Data))
}

func TestTenant_TellsOfARecoveryOnce(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	e.update(0, protocol.UpdateReportEndpoint, failing(start))
	e.update(time.Hour, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: "ep_1"})
	e.update(time.Minute, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: "ep_1"})
	failsAgain := e.update(time.Minute, protocol.UpdateReportEndpoint, failing(time.Time{}))
	e.run()

	require.Equal(t, []string{postdate.EndpointFailing, postdate.EndpointRecovered, postdate.EndpointFailing}, e.types())
	require.NotEqual(t, e.announced[0].ID, e.announced[2].ID)
	require.Equal(t, start.Add(time.Hour+2*time.Minute), failsAgain.Endpoint.FailingSince.UTC())
}

func TestTenant_ForgetsFailuresOnceEnabled(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	e.update(0, protocol.UpdateReportEndpoint, failing(start))
	gone := e.update(time.Hour, protocol.UpdateSetEndpointState, state(postdate.Disabled, "it answered 410 Gone "+strings.Repeat("é", 200)))
	enabled := e.update(time.Hour, protocol.UpdateSetEndpointState, state(postdate.Enabled, ""))
	e.run()

	require.True(t, strings.HasPrefix(gone.Endpoint.Reason, "it answered 410 Gone"))
	require.LessOrEqual(t, len(gone.Endpoint.Reason), 200)
	require.Equal(t, []string{postdate.EndpointFailing, postdate.EndpointDisabled}, e.types())
	require.Zero(t, enabled.Endpoint.FailingSince)
}

func TestTenant_AnnouncesNothingOfTheOperators(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, postdate.OperatorTenant, endpoint("ep_1"))
	e.update(0, protocol.UpdateReportEndpoint, failing(start))
	e.update(5*24*time.Hour, protocol.UpdateReportEndpoint, failing(start))
	next := e.run()
	require.Equal(t, postdate.Disabled, next.Tenant.Endpoints[0].State)
	require.Empty(t, e.announced)
	require.Empty(t, next.Announcements)
}

func TestTenant_TakesUnmadeAnnouncementsAlong(t *testing.T) {
	t.Parallel()
	e := newTenantEnv(t, "acme", endpoint("ep_1"))
	e.deaf, e.rest = true, time.Minute
	e.update(0, protocol.UpdateReportEndpoint, failing(start))
	e.update(time.Second, protocol.UpdateReportEndpoint, protocol.ReportEndpoint{ID: "ep_1"})
	next := e.run()
	require.Len(t, next.Announcements, 2)
	require.Equal(t, postdate.EndpointFailing, next.Announcements[0].Type)

	later := newTenantEnv(t, "acme")
	later.in = next
	require.Empty(t, later.run().Announcements)
	require.Equal(t, next.Announcements, later.announced)
}

func TestAnnouncements_HaveAnIDForEachTimeThatTheyAreMade(t *testing.T) {
	t.Parallel()
	id := protocol.AnnouncementID(postdate.EndpointFailing, "acme", "ep_1", "8")
	require.Regexp(t, `^op_[0-9a-f]{32}$`, id)
	require.Equal(t, id, protocol.AnnouncementID(postdate.EndpointFailing, "acme", "ep_1", "8"))
	require.NotEqual(t, id, protocol.AnnouncementID(postdate.EndpointFailing, "acme", "ep_1", "9"))
	require.NotEqual(t, id, protocol.AnnouncementID(postdate.EndpointRecovered, "acme", "ep_1", "8"))
}
