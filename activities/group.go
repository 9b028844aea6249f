package activities

import (
	"cmp"
	"context"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/activity"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Starter starts executions for the deliveries that leave a group or a line.
type Starter interface {
	// StartDelivery starts the execution of a delivery. It is no error that it was
	// started before.
	StartDelivery(ctx context.Context, in protocol.DeliverInput, accepted protocol.Accepted) error
	// StartDispatch starts a Dispatch of that workflow id. It is no error that it was
	// started before.
	StartDispatch(ctx context.Context, workflowID string, in protocol.DispatchInput) error
	// Started reports whether a delivery has had an execution of its own.
	Started(ctx context.Context, tenant, id string) (bool, error)
}

// maxGroupResponses bounds the bytes of all responses that a group keeps, so that its
// result stays below Temporal's limit for one value (2 MB) even where each byte takes
// six, as JSON writes those that are not text.
const maxGroupResponses = 256 << 10

// maxPartsResponses bounds the same for all parts of one Dispatch: where they are its
// children, Temporal writes their results into its history, of 50 MB.
const maxPartsResponses = 4 << 20

// SendGroup makes the first attempt at each item, all in parallel, and returns the
// results in the same order. Where no attempt could be made, because of a failure of our
// own, the result has no outcome, and the others stand.
//
// The items for one endpoint are all sent, or all enqueued, so that none waits here for a
// slow endpoint.
func (a *Activities) SendGroup(ctx context.Context, in protocol.GroupInput) ([]protocol.GroupAttempt, error) {
	return a.sent.once(ctx, 1, func() ([]protocol.GroupAttempt, error) {
		a.observeBurst(in.Burst)
		return a.sendGroup(ctx, in), nil
	})
}

func (a *Activities) sendGroup(ctx context.Context, in protocol.GroupInput) []protocol.GroupAttempt {
	attempts := make([]protocol.GroupAttempt, len(in.Items))
	places := make(map[groupKey][]int)
	for i, item := range in.Items {
		key := groupKey{endpoint: item.Endpoint, canary: a.sideOf(ctx, in, item)}
		if item.Schedule != nil {
			key.due = item.Schedule.DueAt.UnixNano()
			for len(places[key]) == maxPermit {
				key.permit++
			}
		}
		places[key] = append(places[key], i)
	}
	keep := min(postdate.MaxResponse, maxGroupResponses/max(1, len(in.Items)), maxPartsResponses/max(1, in.Of*len(in.Items)))
	var sends sync.WaitGroup
	for key, places := range places {
		sends.Go(func() { a.sendTo(ctx, in, key.canary, places, attempts, keep) })
	}
	sends.Wait()
	return attempts
}

// groupKey names the items of a group that share a permit: events to one side of one endpoint, or up to
// maxPermit schedules to one endpoint (none: bare urls and subscribers) that are due at the
// same moment.
type groupKey struct {
	endpoint string
	canary   string // the side that they take
	due      int64
	permit   int
}

// maxPermit bounds the schedules that share a permit: those of several groups are due at
// the same moment, and what an endpoint takes at once is to be shared out among them.
const maxPermit = 10

// maxInPlace bounds how long an item waits in place until it is due: those of a group are
// due within the same second, and the clocks of two machines may differ.
const maxInPlace = time.Second

// awaitDue waits until an item is due, and reports whether it is.
func (a *Activities) awaitDue(ctx context.Context, item protocol.GroupItem) bool {
	if item.Schedule == nil {
		return true
	}
	wait := time.NewTimer(min(maxInPlace, item.Schedule.DueAt.Sub(a.Now())))
	defer wait.Stop()
	select {
	case <-wait.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// sendTo sends the items at these places, which have the same [groupKey].
func (a *Activities) sendTo(ctx context.Context, in protocol.GroupInput, canary string, places []int, attempts []protocol.GroupAttempt, keep int) {
	if !a.awaitDue(ctx, in.Items[places[0]]) {
		return
	}
	permit, e, known := a.acquireFor(ctx, in, canary, places)
	if known && permit == nil {
		a.enqueue(ctx, in, canary, places, attempts)
		return
	}
	var sends sync.WaitGroup
	for _, i := range places {
		sends.Go(func() {
			task := in.Items[i].Task(in.Messages, in.At)
			var attempt postdate.Attempt
			var err error
			if known {
				attempt, err = a.attemptWithPermit(ctx, permit, task, e)
			} else {
				attempt, err = a.attempt(ctx, task, 1)
			}
			if err == nil { // it is logged
				attempts[i].Attempt = attempt.Excerpt(keep)
			}
		})
	}
	sends.Wait()
}

// acquireFor acquires one permit for all items that take one side of one endpoint: nil
// where none comes soon. known is false where no permit is needed, since the endpoint is not sent to.
func (a *Activities) acquireFor(ctx context.Context, in protocol.GroupInput, canary string, places []int) (permit throttle.Permit, e postdate.Endpoint, known bool) {
	first := in.Items[places[0]]
	tenant := in.Messages[first.Event].Tenant
	_, e, known, err := a.resolve(ctx, tenant, first.Endpoint)
	if err == nil && known && e.Pull {
		return nil, e, true // it waits in a line until it is pulled, whether the endpoint is enabled or not
	}
	if err != nil || !known || e.State != postdate.Enabled {
		return nil, e, false
	}
	e = e.At(e.Side("", cmp.Or(canary, postdate.TookPrimary)))
	permit, err = a.acquire(ctx, tenant, e, throttle.PermitRequest{Since: first.Task(in.Messages, in.At).DueAt, N: len(places)})
	if err != nil {
		return nil, e, true // its line acquires another
	}
	return permit, e, true
}

// attemptWithPermit makes the first attempt at s.
func (a *Activities) attemptWithPermit(ctx context.Context, permit throttle.Permit, s protocol.DeliveryTask, e postdate.Endpoint) (postdate.Attempt, error) {
	if s.Expired(a.Now()) {
		permit.Release(postdate.Attempt{})
		return tooLate(s, a.Now()), nil
	}
	attempt, target, err := a.sendWithPermit(context.WithoutCancel(ctx), permit, s, e)
	attempt.Number = 1
	a.report(ctx, s, target, attempt, err)
	return attempt, err
}

// enqueue enqueues the items at these places for one side, in their order. Where that fails, Dispatch
// enqueues them. Schedules wait in line with executions of their own, in which they can be
// rescheduled and fired: these enqueue them.
func (a *Activities) enqueue(ctx context.Context, in protocol.GroupInput, canary string, places []int, attempts []protocol.GroupAttempt) {
	for _, i := range places {
		attempts[i].Attempt = noPermit(a.Now())
		attempts[i].Canary = canary
	}
	if in.Items[places[0]].Schedule != nil {
		return
	}
	requests := make([]protocol.EnqueueRequest, len(places))
	for n, i := range places {
		requests[n] = in.Items[i].EnqueueRequest(in.Messages, in.At, canary)
	}
	lines, err := a.Queue.Enqueue(context.WithoutCancel(ctx), requests)
	if err != nil {
		a.Log.LogAttrs(ctx, slog.LevelError, "failed to enqueue deliveries", slog.String("tenant", requests[0].Tenant),
			slog.String("endpoint", requests[0].Endpoint), slog.Int("deliveries", len(requests)), slog.String("error", err.Error()))
		return
	}
	for n, i := range places {
		attempts[i].Line = lines[n]
	}
}

// maxParallelStarts bounds the deliveries that are started in parallel.
const maxParallelStarts = 16

// HandOver starts an execution for each item. What was started before stays as it is, so
// that it can run again until all is done.
func (a *Activities) HandOver(ctx context.Context, in protocol.HandOverInput) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelStarts)
	for _, item := range in.Items {
		group.Go(func() error { return a.handOver(ctx, in, item) })
	}
	return group.Wait()
}

// StartParts starts an execution for each part of the input of the calling Dispatch but the
// first. They are not children of it: the end of a child is an event of its parent, which
// would arrive there during its own attempts.
func (a *Activities) StartParts(ctx context.Context, in protocol.DispatchInput) error {
	id := activity.GetInfo(ctx).WorkflowExecution.ID
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelStarts)
	for n, part := range in.Parts() {
		if n > 0 {
			group.Go(func() error { return a.Starter.StartDispatch(ctx, protocol.PartID(id, n), part) })
		}
	}
	return group.Wait()
}

// StartDeliveries starts an execution for each schedule that leaves its group. What was
// started before stays as it is, so that it can run again until all is done.
func (a *Activities) StartDeliveries(ctx context.Context, in protocol.StartDeliveriesInput) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(maxParallelStarts)
	for _, leaving := range in.Deliveries {
		group.Go(func() error { return a.Starter.StartDelivery(ctx, leaving.Input, leaving.Accepted) })
	}
	return group.Wait()
}

func (a *Activities) handOver(ctx context.Context, in protocol.HandOverInput, item protocol.Undelivered) error {
	at := in.At
	if !item.At.IsZero() {
		at = item.At
	}
	task := item.Task(in.Messages, at)
	// If the endpoint was deleted, the delivery itself finds that out.
	_, endpoint, _, err := a.resolve(ctx, task.Message.Tenant, item.Endpoint)
	if err != nil {
		return err
	}
	task.Timeout = cmp.Or(item.OwnTimeout, endpoint.Timeout)
	return a.Starter.StartDelivery(ctx, protocol.DeliverInput{
		Shipment: task, Terms: item.Terms, Retry: postdate.RetryOrDefault(cmp.Or(item.OwnRetry, endpoint.Retry)),
		Attempts: item.Attempts, Handed: len(item.Attempts) > 0,
	}, protocol.Accepted{To: task.To, At: at})
}
