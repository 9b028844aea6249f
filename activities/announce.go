package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Publisher publishes events.
type Publisher interface {
	// Publish publishes a named event to its subscribers, once however often it is
	// called, and returns how many they are.
	Publish(ctx context.Context, tenant string, e postdate.Event, traceParent string) (subscribers int, err error)
	// PublishSchedule does so with a schedule that is due, whose id an event may have too.
	PublishSchedule(ctx context.Context, tenant string, e postdate.Event, traceParent string) (subscribers int, err error)
}

// Announce publishes an announcement in the operator's tenant, if an endpoint there
// subscribes to it. Nothing is announced of the operator's own tenant: that could go on
// for ever.
func (a *Activities) Announce(ctx context.Context, in protocol.Announcement) error {
	if in.Tenant == postdate.OperatorTenant {
		return nil
	}
	operator, err := a.Tenants.Tenant(ctx, postdate.OperatorTenant)
	if err != nil {
		return err
	}
	if len(operator.Subscribers(in.Type)) == 0 {
		return nil
	}
	_, err = a.Publisher.Publish(ctx, postdate.OperatorTenant, postdate.Event{
		ID: in.ID, Type: in.Type, Entity: in.Tenant, Timestamp: &in.At, Data: in.Data,
	}, "")
	refusal, refused := errors.AsType[*postdate.Error](err)
	if refused && refusal.Code != postdate.Unavailable {
		return temporal.NewNonRetryableApplicationError(refusal.Detail, string(refusal.Code), nil)
	}
	return err
}
