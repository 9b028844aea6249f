package activities_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/testsuite"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/activities"
	"github.com/postdate/postdate/protocol"
)

// operators is the operator's tenant, and an engine to which events are published.
type operators struct {
	activities.Tenants
	activities.Publisher
	subscribed []string
	refusal    error
	published  []postdate.Event
}

func (o *operators) Tenant(_ context.Context, name string) (*postdate.Tenant, error) {
	if name != postdate.OperatorTenant {
		return nil, errors.New("not the operator's")
	}
	return &postdate.Tenant{Endpoints: []postdate.Endpoint{{ID: "ep_ops", EventTypes: o.subscribed}}}, nil
}

func (o *operators) Publish(_ context.Context, tenant string, e postdate.Event, _ string) (int, error) {
	if tenant != postdate.OperatorTenant {
		return 0, errors.New("not the operator's")
	}
	o.published = append(o.published, e)
	return 1, o.refusal
}

// announce announces that an endpoint of a tenant began to fail.
func (o *operators) announce(t *testing.T, tenant string) error {
	t.Helper()
	suite := testsuite.WorkflowTestSuite{}
	env := suite.NewTestActivityEnvironment()
	(&activities.Activities{Tenants: o, Publisher: o}).Register(env)
	_, err := env.ExecuteActivity(protocol.AnnounceActivity, protocol.Announcement{
		ID: "op_1", Tenant: tenant, Type: postdate.EndpointFailing,
		At: time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC), Data: json.RawMessage(`{"endpoint":"ep_1"}`),
	})
	return err
}

func TestAnnounce_TellsTheOperatorsEndpoints(t *testing.T) {
	t.Parallel()
	o := &operators{subscribed: []string{"endpoint.*"}}
	require.NoError(t, o.announce(t, "acme"))
	require.Equal(t, []postdate.Event{{
		ID: "op_1", Type: postdate.EndpointFailing, Entity: "acme",
		Data: json.RawMessage(`{"endpoint":"ep_1"}`), Timestamp: new(time.Date(2026, 11, 21, 9, 0, 0, 0, time.UTC)),
	}}, o.published)
	require.NoError(t, o.published[0].Validate())
}

func TestAnnounce_TellsNobodyWhoDidNotAsk(t *testing.T) {
	t.Parallel()
	o := &operators{subscribed: []string{"delivery.dead"}}
	require.NoError(t, o.announce(t, "acme"))
	require.Empty(t, o.published)
}

func TestAnnounce_IsSilentAboutTheOperatorsOwn(t *testing.T) {
	t.Parallel()
	o := &operators{subscribed: []string{"*"}}
	require.NoError(t, o.announce(t, postdate.OperatorTenant))
	require.Empty(t, o.published)
}

func TestAnnounce_TriesAgainUnlessThatIsOfNoUse(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		final   bool
	}{
		"the engine is away":  {errors.New("connection refused"), false},
		"busy":                {postdate.Errorf(postdate.Unavailable, "", "ask again"), false},
		"another of this id":  {postdate.Errorf(postdate.Conflict, "", "another event has this id"), true},
		"a value out of rule": {postdate.Errorf(postdate.Invalid, "/id", "too long"), true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := &operators{subscribed: []string{"*"}, refusal: c.refusal}
			err := o.announce(t, "acme")
			var app *temporal.ApplicationError
			require.ErrorAs(t, err, &app)
			require.Equal(t, c.final, app.NonRetryable())
		})
	}
}
