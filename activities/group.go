package activities

import (
	"context"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
)

// Parcel is one delivery in a group: an event to an endpoint.
type Parcel struct {
	Event    int    `json:"event"` // its place among the group's messages
	Endpoint string `json:"endpoint"`
}

// GroupInput is a group of deliveries.
type GroupInput struct {
	Messages []postdate.Message `json:"messages"`
	Parcels  []Parcel           `json:"parcels"`
	// At is when the events were accepted.
	At time.Time `json:"at"`
	// Of is how many parts the events were shared out to: 0 stands for one.
	Of int `json:"of,omitempty"`
}

// maxGroupResponses is how many bytes of responses a group keeps in all, so that
// its answer stays below the engine's limit for one value (2 MB) even where each
// byte takes six, as JSON writes those that are no text.
const maxGroupResponses = 256 << 10

// maxPartsResponses bounds the same for all parts of one Dispatch: the engine
// writes the results of those that end before it into its history, of 50 MB.
const maxPartsResponses = 4 << 20

// SendGroup makes the first attempt at each parcel, all side by side, and answers
// what came of them in the same order. It does not fail for one: where none could
// be made, for a reason of our own, its place has no outcome.
func (a *Activities) SendGroup(ctx context.Context, in GroupInput) ([]postdate.Attempt, error) {
	attempts := make([]postdate.Attempt, len(in.Parcels))
	keep := min(postdate.MaxResponse, maxGroupResponses/max(1, len(in.Parcels)), maxPartsResponses/max(1, in.Of*len(in.Parcels)))
	var all sync.WaitGroup
	for i, parcel := range in.Parcels {
		all.Go(func() {
			made, err := a.attempt(ctx, parcel.shipment(in.Messages, in.At), 1)
			if err == nil { // which the attempt has logged
				attempts[i] = made.Excerpt(keep)
			}
		})
	}
	all.Wait()
	return attempts, nil
}

func (p Parcel) shipment(messages []postdate.Message, at time.Time) Shipment {
	m := messages[p.Event]
	return Shipment{
		DeliveryID: postdate.DeliveryID(m.ID, p.Endpoint),
		Message:    m,
		To:         postdate.Destination{Endpoint: p.Endpoint},
		DueAt:      at,
	}
}

// LeftParcel is a delivery that leaves its group, with the attempt that was made,
// if one was.
type LeftParcel struct {
	Parcel
	Attempts postdate.Attempts `json:"attempts,omitempty"`
}

// HandOverInput is what leaves a group.
type HandOverInput struct {
	// Messages are those of the group in their places; of those that nothing is
	// left of the place alone.
	Messages []postdate.Message `json:"messages"`
	Parcels  []LeftParcel       `json:"parcels"`
	At       time.Time          `json:"at"`
}

// handOverSideBySide bounds how many deliveries are started at once.
const handOverSideBySide = 16

// HandOver has each parcel go on as a delivery of its own. What was started
// before stays as it is, so it can be run again and again until all is done.
func (a *Activities) HandOver(ctx context.Context, in HandOverInput) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(handOverSideBySide)
	for i, parcel := range in.Parcels {
		group.Go(func() error {
			activity.RecordHeartbeat(ctx, i)
			return a.handOver(ctx, in, parcel)
		})
	}
	return group.Wait()
}

func (a *Activities) handOver(ctx context.Context, in HandOverInput, left LeftParcel) error {
	shipment := left.shipment(in.Messages, in.At)
	// Of an endpoint that is deleted by now the delivery will find out itself.
	_, endpoint, _, err := a.whereTo(ctx, shipment.Message.Tenant, left.Endpoint)
	if err != nil {
		return err
	}
	shipment.Timeout = endpoint.Timeout
	return a.Engine.StartDelivery(ctx, Handover{
		Shipment: shipment, Retry: postdate.RetryOrDefault(endpoint.Retry), Attempts: left.Attempts, At: in.At,
	})
}
