package deliveries

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
	"github.com/postdate/postdate/internal/retry"
	"github.com/postdate/postdate/protocol"
)

const (
	// healthTimeout bounds the read of an endpoint's health, and positionTimeout that of
	// a position in its queue: a delivery is shown without one too.
	healthTimeout   = 10 * time.Second
	positionTimeout = 2 * time.Second
)

// Health reads how an endpoint does. One that has no execution is sent to at its full
// pace, and no delivery waits for it.
func (s *Store) Health(ctx context.Context, tenant string, e postdate.Endpoint) (postdate.Health, error) {
	ctx, stop := context.WithTimeout(ctx, healthTimeout)
	defer stop()
	var known protocol.EndpointHealth
	found, err := s.queryEndpoint(ctx, tenant, e.ID, &known, protocol.QueryHealth)
	if err != nil {
		return postdate.Health{}, err
	}
	if !found {
		limit := e.Pace(s.maxInFlight)
		known.Health = postdate.Health{Breaker: postdate.BreakerClosed, Limit: limit, Pace: limit}
	}
	if err := s.readWaiting(ctx, tenant, e.ID, &known); err != nil {
		return postdate.Health{}, err
	}
	health := known.Health
	if health.Canary, err = s.canaryHealth(ctx, tenant, e, health.Canary); err != nil {
		return postdate.Health{}, err
	}
	health.State = e.State // as it is configured now
	if health.Reason == "" {
		health.Reason = e.Reason
	}
	health.BreakerUntil, health.OldestWaiting = health.BreakerUntil.UTC(), health.OldestWaiting.UTC()
	health.DrainedAt, health.AsOf = health.DrainedAt.UTC(), health.AsOf.UTC()
	return health, nil
}

// readWaiting reads how many deliveries wait now. The endpoint counts those of a line
// that it woke until the line reports that it is done.
func (s *Store) readWaiting(ctx context.Context, tenant, endpoint string, h *protocol.EndpointHealth) error {
	if len(h.Head) == 0 {
		return nil
	}
	heads, err := s.readHead(ctx, tenant, endpoint, h.Head)
	if err != nil {
		return err
	}
	h.OldestWaiting = h.NextSince
	for i, head := range slices.Backward(heads) {
		h.Waiting -= h.Head[i].Waiting - head.waiting
		if head.waiting > 0 {
			h.OldestWaiting = head.oldest
		}
	}
	h.DrainedAt = h.Drained(h.Waiting, s.now())
	return nil
}

// headLine is what was read of one of the first lines.
type headLine struct {
	waiting int
	oldest  time.Time // zero where none wait
}

// readHead reads the first lines, side by side.
func (s *Store) readHead(ctx context.Context, tenant, endpoint string, lines []protocol.HeadLine) ([]headLine, error) {
	heads := make([]headLine, len(lines))
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(maxParallel)
	for i, known := range lines {
		reading.Go(func() error {
			n, err := s.readLine(ctx, protocol.LineID(tenant, endpoint, known.ID), known.ID)
			if postdate.CodeOf(err) == postdate.NotFound {
				return nil // it ended long ago
			}
			if err != nil {
				return err
			}
			count, first := n.before(len(n.input.Entries), s.now())
			// Some of its entries may have been superseded, which the endpoint knows.
			if heads[i].waiting = min(count, known.Waiting); count > 0 {
				heads[i].oldest = n.input.Entries[first].At
			}
			return nil
		})
	}
	return heads, reading.Wait()
}

// queryEndpoint queries the execution of an endpoint, and reports whether there is one.
func (s *Store) queryEndpoint(ctx context.Context, tenant, endpoint string, into any, query string, args ...any) (found bool, err error) {
	err = retry.With(ctx, func(ctx context.Context) error {
		answer, err := s.temporal.QueryWorkflowWithOptions(ctx, &client.QueryWorkflowWithOptionsRequest{
			WorkflowID: protocol.EndpointID(tenant, endpoint), QueryType: query, Args: args,
			// What one that has ended knew is out of date.
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
		return false, fmt.Errorf("query %s: %w", protocol.EndpointID(tenant, endpoint), err)
	}
	return found, nil
}

// readPosition reads the position of r in its endpoint's queue, if it waits. Where that
// fails the position stays unknown.
func (s *Store) readPosition(ctx context.Context, r *record) {
	now := s.now()
	if r.state(now) != postdate.Waiting || r.lineID == "" {
		return
	}
	ctx, stop := context.WithTimeout(ctx, positionTimeout)
	defer stop()
	task := r.input.Shipment
	tenant, endpoint := task.Message.Tenant, task.To.Endpoint
	health, position, found := s.findInQueue(ctx, r, endpoint)
	if e, _ := r.tenant.Endpoint(endpoint); !found && e.Canary.Active() {
		if health, position, found = s.findInQueue(ctx, r, postdate.CanaryKey(endpoint, e.Canary.ID)); found {
			r.queuedFor = e.Canary.ID
		}
	}
	if !found {
		return
	}
	heads, err := s.readHead(ctx, tenant, endpoint, health.Head)
	if err != nil {
		return
	}
	for i, head := range heads {
		if lineID(tenant, endpoint, health.Head[i].ID) == lineID(tenant, endpoint, r.lineID) {
			break
		}
		position.Ahead -= health.Head[i].Waiting - head.waiting
	}
	if r.line != nil {
		before, _ := r.line.before(r.place, now)
		position.Ahead += before
	}
	if !position.EstimatedAt.IsZero() {
		position.EstimatedAt = cmp.Or(health.Drained(position.Ahead, now), position.EstimatedAt)
	}
	position.EstimatedAt = position.EstimatedAt.UTC()
	r.position = &position
}
