package recurrences

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// cancelTimeout bounds the wait for the cancellation of an earlier tick's delivery: it is
// cancelled all the same, once its attempt has ended.
const cancelTimeout = 3 * time.Second

// start starts the delivery of a tick, unless the one of an earlier tick stands in its
// way.
func (a *advance) start(ctx context.Context, tick postdate.Tick) error {
	a.starts++
	outcome := postdate.TickStarted
	if policy := a.Recurrence.Overlap; policy != "" && policy != postdate.OverlapAllow {
		running, err := a.running(ctx)
		switch {
		case err != nil:
			return err
		case len(running) == 0:
		case policy == postdate.OverlapCancelOther:
			if err := a.cancel(ctx, running); err != nil {
				return err
			}
		case policy == postdate.OverlapBufferOne && a.Buffered == nil:
			a.Buffered = &tick
			outcome = postdate.TickBuffered
		default:
			outcome = postdate.TickOverlapped
		}
	}
	if outcome != postdate.TickStarted {
		a.pass(tick, outcome)
		return nil
	}
	id, err := a.deliver(ctx, tick, tick.Number)
	if err != nil && !errors.Is(err, executions.ErrExists) {
		return err
	}
	a.Ahead = nil
	if tick.DueAt.After(a.now) {
		a.Ahead = &protocol.AheadTick{Tick: tick, DeliveryID: id, Before: a.Passed}
	}
	a.Remember(postdate.TickRecord{Tick: tick, Outcome: outcome, DeliveryID: id})
	a.Passed = protocol.Pass(tick)
	return nil
}

// startBuffered starts the tick that waits for the delivery of an earlier one, if that has
// ended.
func (a *advance) startBuffered(ctx context.Context) error {
	if a.Buffered == nil || a.Pause != nil {
		return nil
	}
	running, err := a.running(ctx)
	if err != nil || len(running) > 0 {
		return err
	}
	tick, passed := *a.Buffered, a.Passed
	a.Buffered = nil
	a.Forget(tick.Number)
	err = a.start(ctx, tick)
	a.Passed = passed
	return err
}

// running are the ids of the recent deliveries that have not ended.
func (a *advance) running(ctx context.Context) ([]string, error) {
	var running []string
	for _, record := range a.Recent {
		if record.DeliveryID == "" || slices.Contains(a.Ended, record.DeliveryID) {
			continue
		}
		described, err := a.store.config.Executions.Describe(ctx, protocol.DeliveryID(a.Tenant(), record.DeliveryID), record.DeliveryID)
		switch {
		case postdate.CodeOf(err) == postdate.NotFound: // it ended long ago
		case err != nil:
			return nil, err
		case executions.IsRunning(described.GetWorkflowExecutionInfo()):
			running = append(running, record.DeliveryID)
		}
	}
	return running, nil
}

// cancel cancels deliveries. One whose attempt takes long is not waited for.
func (a *advance) cancel(ctx context.Context, ids []string) error {
	bounded, stop := context.WithTimeout(ctx, cancelTimeout)
	defer stop()
	for _, id := range ids {
		err := a.store.config.Deliveries.CancelDelivery(bounded, a.Tenant(), id)
		switch code := postdate.CodeOf(err); {
		case err == nil, code == postdate.Conflict, code == postdate.NotFound: // it ended first
		case bounded.Err() != nil && ctx.Err() == nil:
			return nil
		default:
			return fmt.Errorf("cancel the delivery of an earlier tick: %w", err)
		}
	}
	return nil
}

// deliver starts the delivery of a tick, once, and returns its id. A number of 0 is that
// of a tick beside those that are counted.
func (a *advance) deliver(ctx context.Context, tick postdate.Tick, number int) (string, error) {
	return a.store.deliver(ctx, a.RecurrenceInput, postdate.TickID(a.ID, tick.DueAt), tick.DueAt, number)
}

func (s *Store) deliver(ctx context.Context, r protocol.RecurrenceInput, id string, nominal time.Time, number int) (string, error) {
	now := s.config.Now().UTC()
	in := r.Task
	in.ReportEnd = r.Recurrence.Overlap == postdate.OverlapBufferOne
	in.Shipment.DueAt = nominal.Add(r.Recurrence.Delay(r.Tenant(), r.ID))
	if in.Shipment.DueAt.Before(now.Add(-missedAfter)) {
		in.Shipment.DueAt = now // it is made up for: how late it is says the nominal time
	}
	message := &in.Shipment.Message
	message.ID, message.Timestamp = id, nominal.UTC()
	message.Tick = &postdate.TickRef{Schedule: r.ID, Number: number, NominalTime: nominal.UTC()}
	start := s.config.Starter.Start
	if r.Ahead != nil && r.Ahead.Withdrawn && r.Ahead.DeliveryID == id {
		start = s.config.Starter.StartAgain
	}
	_, err := start(ctx, in, protocol.Accepted{To: in.Shipment.To, At: now})
	return id, err
}
