package directory

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"

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

	var start *persist.Start
	if first {
		start = &persist.Start{Options: workflows.TenantOptions(tenant), Workflow: workflows.TenantName, Input: workflows.TenantInput{Name: tenant}}
	}
	var changed workflows.TenantChanged
	err := persist.Update(ctx, d.config.Temporal, start, workflows.TenantID(tenant), update, arg, &changed)
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
