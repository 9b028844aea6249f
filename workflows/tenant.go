package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// maxAnnouncements bounds how many wait to be made, where that fails for long:
// the state goes into the next run as one value, of which the engine takes 2 MB.
const maxAnnouncements = 200

// TenantWorkflow holds all that is configured for one tenant. It never ends: the
// changes come as Updates, and between them it announces what they came to.
func TenantWorkflow(ctx workflow.Context, in protocol.TenantInput) error {
	// A request to cancel it, as the Web UI sends them, would forget the tenant.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	t := &tenant{in}
	if err := t.listen(ctx); err != nil {
		return err
	}
	ripe := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	for !ripe() {
		_ = workflow.Await(ctx, func() bool { return len(t.Announcements) > 0 || ripe() })
		if len(t.Announcements) > 0 {
			t.announce(ctx, ripe)
		}
	}
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return workflow.NewContinueAsNewError(ctx, protocol.TenantWorkflow, t.TenantInput)
}

// tenant is the state of a Tenant execution.
type tenant struct{ protocol.TenantInput }

// announce makes the oldest announcement, however long that takes, unless ripe
// comes first: then the next run makes it. Its id sees to it that it is
// published once.
func (t *tenant) announce(ctx workflow.Context, ripe func() bool) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	oldest := t.Announcements[0]
	announced := workflow.ExecuteActivity(ctx, protocol.AnnounceActivity, oldest)
	_ = workflow.Await(ctx, func() bool { return announced.IsReady() || ripe() })
	if announced.IsReady() && t.Announcements[0].ID == oldest.ID {
		t.Announcements = t.Announcements[1:]
	}
}

// read answers [QueryTenant].
func (t *tenant) read(known int64) (protocol.TenantRead, error) {
	if known > 0 && known == t.Tenant.Version {
		return protocol.TenantRead{Version: known}, nil
	}
	return protocol.TenantRead{Version: t.Tenant.Version, Tenant: &t.Tenant}, nil
}
