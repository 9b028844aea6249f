package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/api/serviceerror"
	"go.temporal.io/sdk/client"

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
	var health postdate.Health
	found, err := l.askEndpoint(ctx, tenant, e.ID, &health, workflows.QueryHealth)
	if err != nil {
		return postdate.Health{}, err
	}
	if !found {
		limit := e.Pace(l.MaxInFlight)
		health = postdate.Health{Breaker: postdate.BreakerClosed, Limit: limit, Pace: limit}
	}
	health.State = e.State // as it is configured by now
	if health.Reason == "" {
		health.Reason = e.Reason
	}
	health.BreakerUntil, health.OldestWaiting = health.BreakerUntil.UTC(), health.OldestWaiting.UTC()
	health.DrainedAt, health.AsOf = health.DrainedAt.UTC(), health.AsOf.UTC()
	return health, nil
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
	var health postdate.Health
	if found, err := l.askEndpoint(ctx, tenant, endpoint, &health, workflows.QueryHealth); err != nil || !found {
		return
	}
	v.health = &health
	if found, err := l.askEndpoint(ctx, tenant, endpoint, &turn, workflows.QueryTurn, v.lineID); err != nil || !found {
		return
	}
	if v.line != nil {
		before := v.line.before(v.place, now)
		turn.Ahead += before
		if !turn.At.IsZero() && !health.DrainedAt.IsZero() && health.Waiting > 0 {
			each := health.DrainedAt.Sub(now) / time.Duration(health.Waiting)
			turn.At = turn.At.Add(max(0, each) * time.Duration(before))
		}
	}
	turn.At = turn.At.UTC()
	v.turn = &turn
}
