package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

// changeTimeout bounds a change, with all that it takes to ask again.
const changeTimeout = 15 * time.Second

// change has a tenant take an Update. Where first is set it may be the first
// thing that is configured for it; otherwise there is nothing to change in a
// tenant that nothing was configured for.
func (d *Directory) change(ctx context.Context, tenant string, first bool, update string, arg any) (workflows.TenantChanged, error) {
	ctx, stop := context.WithTimeout(ctx, changeTimeout)
	defer stop()
	e := d.entry(tenant)
	select {
	case <-ctx.Done():
		return workflows.TenantChanged{}, ctx.Err()
	case e.changes <- struct{}{}:
		defer func() { <-e.changes }()
	}
	// Even a change that seems to have failed may have been made. The entry may
	// have been dropped meanwhile, and another one read.
	defer func() { d.entry(tenant).stale() }()

	options := client.UpdateWorkflowOptions{
		// The same on every try, so that the engine makes it once.
		UpdateID:     uuid.NewString(),
		WorkflowID:   workflows.TenantID(tenant),
		UpdateName:   update,
		Args:         []any{arg},
		WaitForStage: client.WorkflowUpdateStageCompleted,
	}
	var changed workflows.TenantChanged
	err := persist.With(ctx, func(ctx context.Context) error {
		handle, err := d.update(ctx, tenant, first, options)
		if err == nil {
			err = handle.Get(ctx, &changed)
		}
		return err
	})
	if told, ok := workflows.Refusal(err); ok {
		return workflows.TenantChanged{}, told
	}
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return workflows.TenantChanged{}, postdate.Errorf(postdate.NotFound, "", "nothing is configured for this tenant")
	}
	if err != nil {
		return workflows.TenantChanged{}, fmt.Errorf("%s of tenant %s: %w", update, tenant, err)
	}
	return changed, nil
}

// update sends an Update to the tenant's execution; where first is set it is
// started if there is none.
func (d *Directory) update(ctx context.Context, tenant string, first bool, options client.UpdateWorkflowOptions) (client.WorkflowUpdateHandle, error) {
	if !first {
		return d.config.Temporal.UpdateWorkflow(ctx, options)
	}
	start := d.config.Temporal.NewWithStartWorkflowOperation(client.StartWorkflowOptions{
		ID:                       workflows.TenantID(tenant),
		TaskQueue:                workflows.ControlQueue,
		WorkflowIDConflictPolicy: enumspb.WORKFLOW_ID_CONFLICT_POLICY_USE_EXISTING,
		StaticSummary:            "endpoints, keys and secrets",
	}, workflows.TenantName, workflows.TenantInput{Name: tenant})
	return d.config.Temporal.UpdateWithStartWorkflow(ctx, client.UpdateWithStartWorkflowOptions{
		StartWorkflowOperation: start, UpdateOptions: options,
	})
}
