package tenants

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/eventually"
	"github.com/postdate/postdate/protocol"
)

var (
	failed   = postdate.Attempt{Outcome: postdate.Failed, Status: 500, Response: "a secret of the receiver's"}
	accepted = postdate.Attempt{Outcome: postdate.Accepted, Status: 204}
	gone     = postdate.Attempt{Outcome: postdate.Gone, Status: 410}
)

// attempts reports attempts, each after a read of the endpoint. It returns the endpoint as
// it is once the reports have arrived.
func (d *fixture) attempts(all ...postdate.Attempt) postdate.Endpoint {
	d.t.Helper()
	for _, attempt := range all {
		d.read()
		d.Report(d.t.Context(), d.tenant, "ep_1", attempt)
	}
	d.Close()
	return d.endpoint("ep_1")
}

// types waits for n announcements, and returns their types.
func (d *fixture) types(n int) []string {
	d.t.Helper()
	eventually.True(d.t, func() bool { return len(announced.of(d.tenant)) >= n })
	var types []string
	for _, news := range announced.of(d.tenant) {
		types = append(types, news.Type)
	}
	return types
}

func TestReport_AnnouncesFailureAndRecovery(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	created := d.create("ep_1")
	since := d.Now()
	require.Equal(t, created, d.attempts(failed, failed, accepted, failed, failed), "never three in a row")

	d.pass(time.Second)
	failing := d.attempts(failed)
	require.WithinDuration(t, since, failing.FailingSince, 5*time.Second)
	require.Equal(t, failing, d.attempts(failed, failed, failed), "it is known")

	d.pass(time.Second)
	recovered := d.attempts(accepted) // reported at once: there may be no further success
	require.Zero(t, recovered.FailingSince)
	require.Equal(t, recovered, d.attempts(accepted, accepted))

	require.Equal(t, []string{postdate.EndpointFailing, postdate.EndpointRecovered}, d.types(2))
	require.NotContains(t, string(announced.of(d.tenant)[0].Data), "a secret of the receiver's")
	d.record("tenant/failing-and-recovered", protocol.TenantID(d.tenant))
}

func TestReport_DisablesAnEndpointThatFailedForTooLong(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.config.DisableAfter = time.Millisecond
	d.create("ep_1")
	d.pass(-2 * time.Hour) // so long ago, as this process saw it: others may have seen successes
	d.attempts(failed)
	d.pass(2 * time.Hour)
	require.Equal(t, postdate.Enabled, d.attempts(failed, failed).State)
	d.pass(reportPause)
	disabled := d.attempts(failed)
	require.Equal(t, postdate.Disabled, disabled.State)
	require.Contains(t, disabled.Reason, "failed for ")
	require.Contains(t, disabled.Reason, ": HTTP 500 Internal Server Error")
	require.Equal(t, disabled, d.attempts(accepted, failed, gone), "it is not sent to any more")
	require.Equal(t, []string{postdate.EndpointFailing, postdate.EndpointDisabled}, d.types(2))
	d.record("tenant/disabled", protocol.TenantID(d.tenant))
}

func TestReport_DisablesAnEndpointThatIsGone(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	d.create("ep_1")
	disabled := d.attempts(gone, gone)
	require.Equal(t, postdate.Disabled, disabled.State)
	require.Equal(t, "it answered 410 Gone", disabled.Reason)
	require.Equal(t, []string{postdate.EndpointDisabled}, d.types(1))
}

// Also where it accepted the message that it answered so.
func TestReport_DisablesWhatAsksForIt(t *testing.T) {
	t.Parallel()
	for _, outcome := range []postdate.Outcome{postdate.Accepted, postdate.Gone} {
		d := newFixture(t)
		d.create("ep_1")
		disabled := d.attempts(postdate.Attempt{Status: 200, Outcome: outcome, Disable: true})
		require.Equal(t, postdate.Disabled, disabled.State)
		require.Equal(t, "it asked for that by webhook-delivery: disable", disabled.Reason)
		require.Equal(t, []string{postdate.EndpointDisabled}, d.types(1))
	}
}

func TestReport_IgnoresUnknownEndpoints(t *testing.T) {
	t.Parallel()
	d := newFixture(t)
	for range failuresToReport + 1 {
		d.Report(t.Context(), d.tenant, "ep_1", failed)
	}
	d.Close()
	require.Equal(t, &postdate.Tenant{}, d.read())
	require.Empty(t, d.watch.streaks)
}

func TestReport_BoundsWhatItRemembers(t *testing.T) {
	t.Parallel()
	w := newWatch()
	now := time.Now()
	for i := range maxWatched + 100 {
		w.failed(watched{"acme", fmt.Sprint(i)}, now)
	}
	require.Len(t, w.streaks, maxWatched)
	for of := range w.streaks {
		w.succeeded(of, now)
	}
	require.Empty(t, w.streaks)
}
