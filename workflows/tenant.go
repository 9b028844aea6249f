package workflows

import (
	"time"

	"go.temporal.io/sdk/temporal"
	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate/protocol"
)

// maxAnnouncements bounds how many announcements wait, where they fail for long: the
// next run gets the state as one value, of which Temporal takes 2 MB.
const maxAnnouncements = 200

// TenantWorkflow holds all that is configured for one tenant. It never ends: changes
// come as Updates, and it publishes the announcements that follow from them.
func TenantWorkflow(ctx workflow.Context, in protocol.TenantInput) error {
	// A request to cancel it, as Temporal's Web UI sends, would lose the tenant.
	ctx, _ = workflow.NewDisconnectedContext(ctx)
	t := &tenant{TenantInput: in}
	if err := t.listen(ctx); err != nil {
		return err
	}
	workflow.Go(ctx, t.signalCanaries)
	historyFull := func() bool { return workflow.GetInfo(ctx).GetContinueAsNewSuggested() }
	for !historyFull() {
		_ = workflow.Await(ctx, func() bool { return len(t.Announcements) > 0 || historyFull() })
		if len(t.Announcements) > 0 {
			t.announce(ctx, historyFull)
		}
	}
	_ = workflow.Await(ctx, func() bool { return workflow.AllHandlersFinished(ctx) })
	return workflow.NewContinueAsNewError(ctx, protocol.TenantWorkflow, t.TenantInput)
}

// tenant is the state of a Tenant execution.
type tenant struct {
	protocol.TenantInput

	signalling bool // the first of Canaries is being signalled
}

// announce publishes the oldest announcement, however long that takes, unless the
// history is full first: then the next run publishes it. By its id it is published once.
func (t *tenant) announce(ctx workflow.Context, historyFull func() bool) {
	ctx = workflow.WithActivityOptions(ctx, workflow.ActivityOptions{
		StartToCloseTimeout: 30 * time.Second,
		HeartbeatTimeout:    protocol.HeartbeatTimeout,
		RetryPolicy:         &temporal.RetryPolicy{InitialInterval: time.Second, BackoffCoefficient: 2, MaximumInterval: time.Minute},
	})
	oldest := t.Announcements[0]
	announced := workflow.ExecuteActivity(ctx, protocol.AnnounceActivity, oldest)
	_ = workflow.Await(ctx, func() bool { return announced.IsReady() || historyFull() })
	if announced.IsReady() && t.Announcements[0].ID == oldest.ID {
		t.Announcements = t.Announcements[1:]
	}
}

// read answers [protocol.QueryTenant].
func (t *tenant) read(known int64) (protocol.TenantRead, error) {
	if known > 0 && known == t.Tenant.Version {
		return protocol.TenantRead{Version: known}, nil
	}
	return protocol.TenantRead{Version: t.Tenant.Version, Tenant: &t.Tenant}, nil
}
