package activities

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Limiter issues permits for attempts at endpoints. It keeps to what an endpoint may be
// sent, over all workers.
type Limiter interface {
	// Acquire waits for a permit, as long as the request says. Where none comes so soon
	// it returns [throttle.ErrNoPermit]; any other error is for a reason of our own.
	Acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error)
}

// acquire asks for a permit.
func (a *Activities) acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error) {
	if a.Limiter == nil {
		return throttle.Unlimited, nil
	}
	return a.Limiter.Acquire(ctx, tenant, e, r)
}

// JoinLine tells an endpoint that a line waits for its call. It is no harm to tell it again.
func (a *Activities) JoinLine(ctx context.Context, line protocol.LineStatus) error {
	return a.Queue.JoinLine(ctx, line)
}

// LeaveLine tells an endpoint that what it called of a line is done: with as many
// as still wait in it, which is first in line then.
func (a *Activities) LeaveLine(ctx context.Context, line protocol.LineStatus) error {
	return a.Queue.LeaveLine(ctx, line)
}
