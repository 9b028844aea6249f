package activities

import (
	"context"
	"log/slog"
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

// GroupAttempt is what came of a parcel.
type GroupAttempt struct {
	postdate.Attempt

	// Line is the one in which it waits, where its outcome is that it is queued.
	Line string `json:"line,omitempty"`
}

// SendGroup makes the first attempt at each parcel, all side by side, and answers
// what came of them in the same order. It does not fail for one: where none could
// be made, for a reason of our own, its place has no outcome.
//
// Of one endpoint all parcels are sent, or all go in line, where they are from then
// on: so nobody waits here for those who take long.
func (a *Activities) SendGroup(ctx context.Context, in GroupInput) ([]GroupAttempt, error) {
	attempts := make([]GroupAttempt, len(in.Parcels))
	places := make(map[string][]int) // by endpoint
	for i, parcel := range in.Parcels {
		places[parcel.Endpoint] = append(places[parcel.Endpoint], i)
	}
	keep := min(postdate.MaxResponse, maxGroupResponses/max(1, len(in.Parcels)), maxPartsResponses/max(1, in.Of*len(in.Parcels)))
	var all sync.WaitGroup
	for _, places := range places {
		all.Go(func() { a.sendTo(ctx, in, places, attempts, keep) })
	}
	all.Wait()
	return attempts, nil
}

// sendTo sends the parcels at these places, which are for one endpoint.
func (a *Activities) sendTo(ctx context.Context, in GroupInput, places []int, attempts []GroupAttempt, keep int) {
	turn, e, known := a.turnFor(ctx, in, places)
	if known && turn == nil {
		a.queueUp(ctx, in, places, attempts)
		return
	}
	var all sync.WaitGroup
	for _, i := range places {
		all.Go(func() {
			shipment := in.Parcels[i].shipment(in.Messages, in.At)
			var made postdate.Attempt
			var err error
			if known {
				made, err = a.attemptInTurn(ctx, turn, shipment, e)
			} else {
				made, err = a.attempt(ctx, shipment, 1)
			}
			if err == nil { // else the attempt has logged it
				attempts[i].Attempt = made.Excerpt(keep)
			}
		})
	}
	all.Wait()
}

// turnFor takes a turn for all parcels of one endpoint together: nil where none
// comes soon. It does not know where there is nothing to be taken, for the endpoint
// is not sent to.
func (a *Activities) turnFor(ctx context.Context, in GroupInput, places []int) (turn Turn, e postdate.Endpoint, known bool) {
	first := in.Parcels[places[0]]
	tenant := in.Messages[first.Event].Tenant
	_, e, known, err := a.whereTo(ctx, tenant, first.Endpoint)
	if err != nil || !known || e.State != postdate.Enabled {
		return nil, e, false
	}
	turn, err = a.take(ctx, tenant, e, Claim{Since: in.At, Turns: len(places)})
	if err != nil {
		return nil, e, true // its line asks again
	}
	return turn, e, true
}

// attemptInTurn makes the first attempt at s.
func (a *Activities) attemptInTurn(ctx context.Context, turn Turn, s Shipment, e postdate.Endpoint) (postdate.Attempt, error) {
	made, target, err := a.sendInTurn(context.WithoutCancel(ctx), turn, s, e)
	made.Number = 1
	a.report(ctx, s, target, made, err)
	return made, err
}

// queueUp has the parcels at these places go in line, in their order. Where that
// fails, the group sees to it.
func (a *Activities) queueUp(ctx context.Context, in GroupInput, places []int, attempts []GroupAttempt) {
	all := make([]Queued, len(places))
	for n, i := range places {
		all[n] = in.Parcels[i].Queued(in.Messages, in.At)
		attempts[i].Attempt = noTurn(a.Now())
	}
	lines, err := a.Engine.Queue(context.WithoutCancel(ctx), all)
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "go in line", slog.String("tenant", all[0].Tenant),
			slog.String("endpoint", all[0].Endpoint), slog.Int("deliveries", len(all)), slog.String("error", err.Error()))
		return
	}
	for n, i := range places {
		attempts[i].Line = lines[n]
	}
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
	// At is when it was accepted, where that is not the group's.
	At time.Time `json:"at,omitzero"`
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
	at := in.At
	if !left.At.IsZero() {
		at = left.At
	}
	shipment := left.shipment(in.Messages, at)
	// Of an endpoint that is deleted by now the delivery will find out itself.
	_, endpoint, _, err := a.whereTo(ctx, shipment.Message.Tenant, left.Endpoint)
	if err != nil {
		return err
	}
	shipment.Timeout = endpoint.Timeout
	return a.Engine.StartDelivery(ctx, Handover{
		Shipment: shipment, Retry: postdate.RetryOrDefault(endpoint.Retry), Attempts: left.Attempts, At: at,
	})
}
