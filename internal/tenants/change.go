package tenants

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.temporal.io/api/serviceerror"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

// changeTimeout bounds a change with all its tries.
const changeTimeout = 15 * time.Second

// changeVisibly is [Store.change], and returns once every process has the change: what is
// published after it, through whichever process, reaches an endpoint that it created.
func (s *Store) changeVisibly(ctx context.Context, tenant string, first bool, update string, arg any) (protocol.TenantChanged, error) {
	changed, err := s.change(ctx, tenant, first, update, arg)
	if err != nil || !s.config.Shared {
		return changed, err
	}
	// No process uses what it read longer ago.
	wait := time.NewTimer(maxAge)
	defer wait.Stop()
	select {
	case <-wait.C:
	case <-ctx.Done(): // the change is made all the same
	}
	return changed, nil
}

// change sends an Update to a tenant's execution. Where first is set it may be the first
// thing that is configured for the tenant, and starts the execution. Otherwise a tenant
// that nothing is configured for is not found.
func (s *Store) change(ctx context.Context, tenant string, first bool, update string, arg any) (protocol.TenantChanged, error) {
	ctx, stop := context.WithTimeout(ctx, changeTimeout)
	defer stop()
	e := s.entry(tenant)
	select {
	case <-ctx.Done():
		return protocol.TenantChanged{}, ctx.Err()
	case e.changes <- struct{}{}:
		defer func() { <-e.changes }()
	}
	// Even a change that seems to have failed may have been made. The entry may have
	// been dropped and read again in between.
	defer func() { s.entry(tenant).invalidate() }()

	var start *retry.Start
	if first {
		start = &retry.Start{Options: protocol.TenantOptions(tenant), Workflow: protocol.TenantWorkflow, Input: protocol.TenantInput{Name: tenant}}
	}
	var changed protocol.TenantChanged
	err := retry.Update(ctx, s.config.Temporal, start, protocol.TenantID(tenant), update, arg, &changed)
	if refusal, ok := protocol.DecodeError(err); ok {
		return protocol.TenantChanged{}, refusal
	}
	if _, none := errors.AsType[*serviceerror.NotFound](err); none {
		return protocol.TenantChanged{}, postdate.Errorf(postdate.NotFound, "", "nothing is configured for this tenant")
	}
	if err != nil {
		return protocol.TenantChanged{}, fmt.Errorf("%s of tenant %s: %w", update, tenant, err)
	}
	return changed, nil
}
