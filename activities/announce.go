package activities

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
)

// Announcement is something that the operator's endpoints may want to know.
type Announcement struct {
	// ID is the event's, by which it is published once however often it is
	// announced: see [AnnouncementID].
	ID string `json:"id"`
	// Tenant is whose endpoint or delivery it is about.
	Tenant string `json:"tenant"`
	// Type is one of [postdate.EndpointDisabled] and its like.
	Type string          `json:"type"`
	At   time.Time       `json:"at"`
	Data json.RawMessage `json:"data"`
}

// AnnouncementID is the id of what is announced once for its type, its tenant
// and about: the endpoint or delivery, and which time in its life it is.
func AnnouncementID(eventType, tenant string, about ...string) string {
	hash := sha256.Sum256([]byte(strings.Join(append([]string{eventType, tenant}, about...), "/")))
	return "op_" + hex.EncodeToString(hash[:16])
}

// Announce publishes news in the operator's tenant, where somebody there
// subscribed to it. What happens to the operator's own is not announced: that
// could go on for ever.
func (a *Activities) Announce(ctx context.Context, news Announcement) error {
	if news.Tenant == postdate.OperatorTenant {
		return nil
	}
	operator, err := a.Directory.Tenant(ctx, postdate.OperatorTenant)
	if err != nil {
		return err
	}
	if len(operator.Subscribers(news.Type)) == 0 {
		return nil
	}
	_, err = a.Engine.Publish(ctx, postdate.OperatorTenant, postdate.Event{
		ID: news.ID, Type: news.Type, Entity: news.Tenant, Timestamp: &news.At, Data: news.Data,
	}, "")
	told, final := errors.AsType[*postdate.Error](err)
	if final && told.Code != postdate.Unavailable {
		return temporal.NewNonRetryableApplicationError(told.Detail, string(told.Code), nil)
	}
	return err
}
