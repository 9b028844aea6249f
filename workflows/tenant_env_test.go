package workflows_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/activity"
	"go.temporal.io/sdk/testsuite"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
	"github.com/postdate/postdate/workflows"
)

// tenantEnv runs a tenant, with somebody who hears its announcements and sees
// its sweeps.
type tenantEnv struct {
	*testsuite.TestWorkflowEnvironment
	t    *testing.T
	in   protocol.TenantInput
	last time.Duration // when the last Update is sent
	rest time.Duration // how long the run goes on after it

	deaf      bool // nothing can be announced
	announced []protocol.Announcement
	sweeps    []protocol.SweepInput
}

func newTenantEnv(t *testing.T, name string, endpoints ...postdate.Endpoint) *tenantEnv {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	suite.SetLogger(silent{})
	e := &tenantEnv{TestWorkflowEnvironment: suite.NewTestWorkflowEnvironment(), t: t, rest: time.Hour}
	e.in = protocol.TenantInput{Name: name, Tenant: postdate.Tenant{Version: 7, Endpoints: endpoints}}
	e.SetStartTime(start)
	workflows.RegisterControl(e)
	e.RegisterActivityWithOptions(e.announce, activity.RegisterOptions{Name: protocol.AnnounceActivity})
	e.RegisterActivityWithOptions(func(_ context.Context, in protocol.SweepInput) (protocol.SweepProgress, error) {
		e.sweeps = append(e.sweeps, in)
		return protocol.SweepProgress{}, nil
	}, activity.RegisterOptions{Name: protocol.SweepActivity})
	return e
}

func (e *tenantEnv) announce(_ context.Context, news protocol.Announcement) error {
	if e.deaf {
		return errors.New("nobody hears")
	}
	e.announced = append(e.announced, news)
	return nil
}

// types are those of what was announced.
func (e *tenantEnv) types() []string {
	types := []string{}
	for _, news := range e.announced {
		types = append(types, news.Type)
	}
	return types
}

// changed is what became of an Update.
type changed struct {
	protocol.TenantChanged

	t       *testing.T
	refusal *postdate.Error
}

func (c *changed) Accept() {}

func (c *changed) Reject(err error) {
	refusal, ok := protocol.DecodeError(err)
	require.True(c.t, ok, "an update is refused for a reason only: %v", err)
	c.refusal = refusal
}

func (c *changed) Complete(result any, err error) {
	require.NoError(c.t, err, "what was accepted is done")
	c.TenantChanged = result.(protocol.TenantChanged)
}

// update sends an Update a while after the one before, and answers where its
// answer will be.
func (e *tenantEnv) update(wait time.Duration, name string, arg any) *changed {
	got := &changed{t: e.t}
	e.last += wait
	e.RegisterDelayedCallback(func() { e.UpdateWorkflow(name, "", got, arg) }, e.last)
	return got
}

// read reads the tenant right after the last Update.
func (e *tenantEnv) read(known int64) *protocol.TenantRead {
	got := &protocol.TenantRead{}
	e.last += time.Millisecond
	e.RegisterDelayedCallback(func() {
		value, err := e.QueryWorkflow(protocol.QueryTenant, known)
		require.NoError(e.t, err)
		require.NoError(e.t, value.Get(got))
	}, e.last)
	return got
}

// run runs the tenant until its next run would begin, and answers with what.
func (e *tenantEnv) run() protocol.TenantInput {
	e.t.Helper()
	e.RegisterDelayedCallback(func() {
		e.SetContinueAsNewSuggested(true)
		e.UpdateWorkflow(protocol.UpdateRevokeKey, "", &changed{t: e.t}, "none") // wakes it
	}, e.last+e.rest)
	e.ExecuteWorkflow(protocol.TenantWorkflow, e.in)
	require.True(e.t, e.IsWorkflowCompleted())
	var again *workflow.ContinueAsNewError
	require.ErrorAs(e.t, e.GetWorkflowError(), &again)
	require.Equal(e.t, protocol.TenantWorkflow, again.WorkflowType.Name)
	var next protocol.TenantInput
	require.NoError(e.t, dataConverter.FromPayloads(again.Input, &next))
	require.Equal(e.t, e.in.Name, next.Name)
	return next
}

// endpoint is one as it is asked for.
func endpoint(id string, change ...func(*postdate.Endpoint)) postdate.Endpoint {
	e := postdate.Endpoint{
		ID: id, URL: "https://crm.example/hooks/" + id, EventTypes: []string{"payment_request.*"},
		Mode: postdate.Standard, Signature: postdate.HMAC, State: postdate.Enabled, Digest: "asked for " + id,
		Secrets: postdate.ExpiringSecrets{{Secret: "whsec_" + postdate.Secret(id)}},
	}
	for _, each := range change {
		each(&e)
	}
	return e
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}
