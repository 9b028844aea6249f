package activities

import (
	"context"
	"errors"
	"fmt"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// sendToURL sends s to a bare url or a bare stream. Where no permit comes soon it returns an
// error that has Temporal retry later, since such a delivery has no line to wait in. That is
// no attempt.
func (a *Activities) sendToURL(ctx context.Context, s protocol.DeliveryTask, target postdate.Target) (postdate.Attempt, error) {
	permit, err := a.acquire(ctx, s.Message.Tenant, postdate.Endpoint{URL: s.To.URL, Stream: s.To.Stream}, throttle.PermitRequest{Since: s.DueAt})
	refused, ok := errors.AsType[*throttle.NoPermitError](err)
	switch {
	case ok:
		return postdate.Attempt{}, protocol.EncodeRefusal(refused.Reason, refused.RetryAfter)
	case err != nil:
		return postdate.Attempt{}, fmt.Errorf("acquire a permit for %s: %w", s.ID(), err)
	case s.Expired(a.Now()): // while it waited for the permit
		permit.Release(postdate.Attempt{})
		return tooLate(s, a.Now()), nil
	}
	var attempt postdate.Attempt
	defer func() { permit.Release(attempt) }()
	attempt, err = a.send(ctx, s, target)
	return attempt, err
}
