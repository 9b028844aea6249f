package activities

import (
	"context"
	"time"

	"github.com/postdate/postdate"
)

// WaiterKey names the entity and type of a message: it is empty where that is
// about no entity.
func WaiterKey(m postdate.Message) string {
	if m.Entity == "" {
		return ""
	}
	return m.Entity + "\n" + m.Type
}

// Queued is the parcel of a group as it goes in line, in which it travels.
func (p Parcel) Queued(messages []postdate.Message, at time.Time) Queued {
	m := messages[p.Event]
	return Queued{
		Tenant: m.Tenant, Endpoint: p.Endpoint,
		Waiter: Waiter{DeliveryID: postdate.DeliveryID(m.ID, p.Endpoint), Message: &m, At: at},
	}
}

// Queue has deliveries wait in line for their endpoints, in their order, and
// answers the line of each. Those that come within a moment of each other share one.
func (a *Activities) Queue(ctx context.Context, all []Queued) ([]string, error) {
	return a.Engine.Queue(ctx, all)
}

// Superseded names deliveries that newer messages have taken the place of.
type Superseded struct {
	Tenant string   `json:"tenant"`
	IDs    []string `json:"ids"`
}

// Supersede tells waiting deliveries that newer messages have taken their place.
// One that is over by now does not mind.
func (a *Activities) Supersede(ctx context.Context, in Superseded) error {
	for _, id := range in.IDs {
		err := a.Engine.SupersedeDelivery(ctx, in.Tenant, id)
		if err != nil && postdate.CodeOf(err) != postdate.NotFound {
			return err
		}
	}
	return nil
}
