package activities

import (
	"context"
	"log/slog"
	"sync"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Starter starts deliveries of their own for what leaves a group or a line.
type Starter interface {
	// StartDelivery starts the execution of a delivery. It is no error that it was
	// started before.
	StartDelivery(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) error
	// Started reports whether a delivery has had an execution of its own.
	Started(ctx context.Context, tenant, id string) (bool, error)
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
//
// Of one endpoint all parcels are sent, or all go in line, where they are from then
// on: so nobody waits here for those who take long.
func (a *Activities) SendGroup(ctx context.Context, in protocol.GroupInput) ([]protocol.GroupAttempt, error) {
	attempts := make([]protocol.GroupAttempt, len(in.Items))
	places := make(map[string][]int) // by endpoint
	for i, parcel := range in.Items {
		places[parcel.Endpoint] = append(places[parcel.Endpoint], i)
	}
	keep := min(postdate.MaxResponse, maxGroupResponses/max(1, len(in.Items)), maxPartsResponses/max(1, in.Of*len(in.Items)))
	var all sync.WaitGroup
	for _, places := range places {
		all.Go(func() { a.sendTo(ctx, in, places, attempts, keep) })
	}
	all.Wait()
	return attempts, nil
}

// sendTo sends the parcels at these places, which are for one endpoint.
func (a *Activities) sendTo(ctx context.Context, in protocol.GroupInput, places []int, attempts []protocol.GroupAttempt, keep int) {
	permit, e, known := a.acquireFor(ctx, in, places)
	if known && permit == nil {
		a.enqueue(ctx, in, places, attempts)
		return
	}
	var all sync.WaitGroup
	for _, i := range places {
		all.Go(func() {
			shipment := in.Items[i].Task(in.Messages, in.At)
			var made postdate.Attempt
			var err error
			if known {
				made, err = a.attemptWithPermit(ctx, permit, shipment, e)
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

// acquireFor acquires a permit for all parcels of one endpoint together: nil where none
// comes soon. It does not know where there is nothing to be taken, for the endpoint
// is not sent to.
func (a *Activities) acquireFor(ctx context.Context, in protocol.GroupInput, places []int) (permit throttle.Permit, e postdate.Endpoint, known bool) {
	first := in.Items[places[0]]
	tenant := in.Messages[first.Event].Tenant
	_, e, known, err := a.resolve(ctx, tenant, first.Endpoint)
	if err != nil || !known || e.State != postdate.Enabled {
		return nil, e, false
	}
	permit, err = a.acquire(ctx, tenant, e, throttle.PermitRequest{Since: in.At, N: len(places)})
	if err != nil {
		return nil, e, true // its line asks for another
	}
	return permit, e, true
}

// attemptWithPermit makes the first attempt at s.
func (a *Activities) attemptWithPermit(ctx context.Context, permit throttle.Permit, s protocol.DeliveryTask, e postdate.Endpoint) (postdate.Attempt, error) {
	made, target, err := a.sendWithPermit(context.WithoutCancel(ctx), permit, s, e)
	made.Number = 1
	a.report(ctx, s, target, made, err)
	return made, err
}

// enqueue has the parcels at these places go in line, in their order. Where that
// fails, the group sees to it.
func (a *Activities) enqueue(ctx context.Context, in protocol.GroupInput, places []int, attempts []protocol.GroupAttempt) {
	all := make([]protocol.EnqueueRequest, len(places))
	for n, i := range places {
		all[n] = in.Items[i].EnqueueRequest(in.Messages, in.At)
		attempts[i].Attempt = noPermit(a.Now())
	}
	lines, err := a.Queue.Enqueue(context.WithoutCancel(ctx), all)
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "go in line", slog.String("tenant", all[0].Tenant),
			slog.String("endpoint", all[0].Endpoint), slog.Int("deliveries", len(all)), slog.String("error", err.Error()))
		return
	}
	for n, i := range places {
		attempts[i].Line = lines[n]
	}
}

// handOverSideBySide bounds how many deliveries are started at once.
const handOverSideBySide = 16

// HandOver has each parcel go on as a delivery of its own. What was started
// before stays as it is, so it can be run again and again until all is done.
func (a *Activities) HandOver(ctx context.Context, in protocol.HandOverInput) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(handOverSideBySide)
	for i, parcel := range in.Items {
		group.Go(func() error {
			activity.RecordHeartbeat(ctx, i)
			return a.handOver(ctx, in, parcel)
		})
	}
	return group.Wait()
}

func (a *Activities) handOver(ctx context.Context, in protocol.HandOverInput, left protocol.Undelivered) error {
	at := in.At
	if !left.At.IsZero() {
		at = left.At
	}
	shipment := left.Task(in.Messages, at)
	// Of an endpoint that is deleted by now the delivery will find out itself.
	_, endpoint, _, err := a.resolve(ctx, shipment.Message.Tenant, left.Endpoint)
	if err != nil {
		return err
	}
	shipment.Timeout = endpoint.Timeout
	return a.Starter.StartDelivery(ctx, protocol.DeliverInput{
		Shipment: shipment, Terms: left.Terms, Retry: postdate.RetryOrDefault(endpoint.Retry),
		Attempts: left.Attempts, Handed: len(left.Attempts) > 0,
	}, protocol.Accepted{To: shipment.To, At: at})
}
