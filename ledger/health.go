package ledger

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/persist"
	"github.com/postdate/postdate/workflows"
)

const (
	// healthTimeout bounds the question for an endpoint's health, and turnTimeout
	// what is asked beside a delivery, which is shown without it too.
	healthTimeout = 10 * time.Second
	turnTimeout   = 2 * time.Second
)

// Health tells how an endpoint takes what it is sent. One that needs no execution
// is sent to at its full pace, and nothing waits for it.
func (l *Ledger) Health(ctx context.Context, tenant string, e postdate.Endpoint) (postdate.Health, error) {
	ctx, stop := context.WithTimeout(ctx, healthTimeout)
	defer stop()
	var known workflows.EndpointHealth
	found, err := l.askEndpoint(ctx, tenant, e.ID, &known, workflows.QueryHealth)
	if err != nil {
		return postdate.Health{}, err
	}
	if !found {
		limit := e.Pace(l.MaxInFlight)
		known.Health = postdate.Health{Breaker: postdate.BreakerClosed, Limit: limit, Pace: limit}
	}
	if err := l.readWaiting(ctx, tenant, e.ID, &known); err != nil {
		return postdate.Health{}, err
	}
	health := known.Health
	health.State = e.State // as it is configured by now
	if health.Reason == "" {
		health.Reason = e.Reason
	}
	health.BreakerUntil, health.OldestWaiting = health.BreakerUntil.UTC(), health.OldestWaiting.UTC()
	health.DrainedAt, health.AsOf = health.DrainedAt.UTC(), health.AsOf.UTC()
	return health, nil
}

// readWaiting finds out who waits by now: an endpoint hears of what it called of a
// line when that is over.
func (l *Ledger) readWaiting(ctx context.Context, tenant, endpoint string, h *workflows.EndpointHealth) error {
	if len(h.Front) == 0 {
		return nil
	}
	fronts, err := l.readFront(ctx, tenant, endpoint, h.Front)
	if err != nil {
		return err
	}
	h.OldestWaiting = h.Behind
	for i, front := range slices.Backward(fronts) {
		h.Waiting -= h.Front[i].Waiting - front.waiting
		if front.waiting > 0 {
			h.OldestWaiting = front.oldest
		}
	}
	h.DrainedAt = h.Drained(h.Waiting, l.Now())
	return nil
}

// front is what was seen of one of the first lines.
type front struct {
	waiting int
	oldest  time.Time // where any wait
}

// readFront reads the first lines, side by side.
func (l *Ledger) readFront(ctx context.Context, tenant, endpoint string, lines []workflows.FrontLine) ([]front, error) {
	fronts := make([]front, len(lines))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(parallel)
	for i, known := range lines {
		reading.Go(func() error {
			n, err := l.readLine(ctx, workflows.LineID(tenant, endpoint, known.ID), known.ID)
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil // it is over for long
			}
			if err != nil {
				return err
			}
			count, first := n.before(len(n.input.Waiters), l.Now())
			// Some of those in it may have been superseded, as the endpoint knows.
			if fronts[i].waiting = min(count, known.Waiting); count > 0 {
				fronts[i].oldest = n.input.Waiters[first].At
			}
			return nil
		})
	}
	return fronts, reading.Wait()
}

// askEndpoint asks the execution of an endpoint, and tells whether there is one.
func (l *Ledger) askEndpoint(ctx context.Context, tenant, endpoint string, into any, query string, args ...any) (found bool, err error) {
	err = persist.With(ctx, func(ctx context.Context) error {
		answer, err := l.Temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
			WorkflowID: workflows.EndpointID(tenant, endpoint), QueryType: query, Args: args,
			// What one knew that has ended is old.
			QueryRejectCondition: enumspb.QUERY_REJECT_CONDITION_NOT_OPEN,
		})
		if _, none := errors.AsType[*serviceerror.NotFound](err); none || err == nil && answer.QueryRejected != nil {
			return nil
		}
		if err != nil {
			return err
		}
		found = true
		return answer.QueryResult.Get(into)
	})
	if err != nil {
		return false, fmt.Errorf("ask %s: %w", workflows.EndpointID(tenant, endpoint), err)
	}
	return found, nil
}

// readTurn finds out where v stands in line, if it waits. What cannot be found
// out is not told.
func (l *Ledger) readTurn(ctx context.Context, v *Sight) {
	now := l.Now()
	if v.State(now) != postdate.Waiting || v.lineID == "" {
		return
	}
	ctx, stop := context.WithTimeout(ctx, turnTimeout)
	defer stop()
	shipment := v.Input.Shipment
	tenant, endpoint := shipment.Message.Tenant, shipment.To.Endpoint
	var turn postdate.Turn
	var health workflows.EndpointHealth
	if found, err := l.askEndpoint(ctx, tenant, endpoint, &health, workflows.QueryHealth); err != nil || !found {
		return
	}
	v.health = &health.Health
	if found, err := l.askEndpoint(ctx, tenant, endpoint, &turn, workflows.QueryTurn, v.lineID); err != nil || !found {
		return
	}
	fronts, err := l.readFront(ctx, tenant, endpoint, health.Front)
	if err != nil {
		return
	}
	for i, front := range fronts {
		if lineID(tenant, endpoint, health.Front[i].ID) == lineID(tenant, endpoint, v.lineID) {
			break
		}
		turn.Ahead -= health.Front[i].Waiting - front.waiting
	}
	if v.line != nil {
		before, _ := v.line.before(v.place, now)
		turn.Ahead += before
	}
	if !turn.At.IsZero() {
		turn.At = cmp.Or(health.Drained(turn.Ahead, now), turn.At)
	}
	turn.At = turn.At.UTC()
	v.turn = &turn
}
