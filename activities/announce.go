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
}

// Announce publishes news in the operator's tenant, where somebody there
// subscribed to it. What happens to the operator's own is not announced: that
// could go on for ever.
func (a *Activities) Announce(ctx context.Context, news protocol.Announcement) error {
	if news.Tenant == postdate.OperatorTenant {
		return nil
	}
	operator, err := a.Tenants.Tenant(ctx, postdate.OperatorTenant)
	if err != nil {
		return err
	}
	if len(operator.Subscribers(news.Type)) == 0 {
		return nil
	}
	_, err = a.Publisher.Publish(ctx, postdate.OperatorTenant, postdate.Event{
		ID: news.ID, Type: news.Type, Entity: news.Tenant, Timestamp: news.At, Data: news.Data,
	}, "")
	told, final := errors.AsType[*postdate.Error](err)
	if final && told.Code != postdate.Unavailable {
		return temporal.NewNonRetryableApplicationError(told.Detail, string(told.Code), nil)
	}
	return err
}
