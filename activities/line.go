package activities

import (
	"context"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Limiter issues permits for attempts at endpoints, within each endpoint's limits over all
// workers.
type Limiter interface {
	// Acquire waits for a permit, as long as the request says. Where none comes in that
	// time it returns [throttle.ErrNoPermit]; any other error is a failure of our own.
	Acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error)
}

// acquire acquires a permit: without a limiter at once.
func (a *Activities) acquire(ctx context.Context, tenant string, e postdate.Endpoint, r throttle.PermitRequest) (throttle.Permit, error) {
	if a.Limiter == nil {
		return throttle.Unlimited, nil
	}
	return a.Limiter.Acquire(ctx, tenant, e, r)
}

// JoinLine adds a line to its endpoint's queue. To add it again changes nothing.
func (a *Activities) JoinLine(ctx context.Context, line protocol.LineStatus) error {
	return a.Queue.JoinLine(ctx, line)
}

// LeaveLine reports to the endpoint that a line that was woken is done. If entries still
// wait in it, it is first in the queue again.
func (a *Activities) LeaveLine(ctx context.Context, line protocol.LineStatus) error {
	return a.Queue.LeaveLine(ctx, line)
}
