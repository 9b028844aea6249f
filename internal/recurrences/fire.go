package recurrences

import (
	"context"
	"errors"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

// Fire starts an extra delivery, beside the ticks.
func (s *Store) Fire(ctx context.Context, in protocol.FireInput) (postdate.TickRecord, error) {
	r, now := in.Recurrence, s.config.Now()
	at, err := calendar.At(now, r.Recurrence.Zone())
	if err != nil {
		return postdate.TickRecord{}, err
	}
	r.Recurrence.Spread = nil
	id, err := s.deliver(ctx, r, postdate.FiredID(r.ID, in.Number), at.DueAt, 0)
	if err != nil && !errors.Is(err, executions.ErrExists) {
		return postdate.TickRecord{}, err
	}
	return postdate.TickRecord{Tick: postdate.Tick{Moment: at}, Outcome: postdate.TickStarted, DeliveryID: id}, nil
}

// Backfill starts the deliveries of the ticks in a range that have none.
func (s *Store) Backfill(ctx context.Context, in protocol.BackfillInput) (protocol.Backfilled, error) {
	done := protocol.Backfilled{Started: []string{}}
	ticks, err := s.backfillTicks(ctx, in.Recurrence.Tenant(), in.Recurrence.Recurrence, in.Range)
	if err != nil {
		return done, err
	}
	for _, tick := range ticks {
		id, err := s.deliver(ctx, in.Recurrence, postdate.TickID(in.Recurrence.ID, tick.DueAt), tick.DueAt, 0)
		switch {
		case errors.Is(err, executions.ErrExists):
			done.Found++
		case err != nil:
			return done, err
		default:
			done.Started = append(done.Started, id)
		}
	}
	return done, nil
}

// backfillTicks are the ticks of a rule in a range that has passed.
func (s *Store) backfillTicks(ctx context.Context, tenant string, r postdate.Recurrence, of protocol.Backfill) ([]postdate.Tick, error) {
	r.Limit = nil // that bounds the ticks that are counted
	rule, err := s.rule(ctx, tenant, r)
	if err != nil {
		return nil, err
	}
	to := of.To
	if now := s.config.Now(); to.After(now) {
		return nil, postdate.Errorf(postdate.Invalid, "/to", "lies ahead: what is not due yet is sent when it is")
	}
	var ticks []postdate.Tick
	from := postdate.Tick{Moment: postdate.Moment{DueAt: of.From.Add(-1)}}
	for tick := range rule.Ticks(from) {
		if tick.DueAt.After(to) {
			break
		}
		if len(ticks) == postdate.MaxBackfill {
			return nil, postdate.Errorf(postdate.Invalid, "/to", "more than %d ticks: backfill a shorter range", postdate.MaxBackfill)
		}
		ticks = append(ticks, tick)
	}
	return ticks, nil
}

// TickEnded reports to a recurrence that the delivery of one of its ticks has ended. One
// that has ended itself does not need to know.
func (s *Store) TickEnded(ctx context.Context, of protocol.TickEnded) error {
	err := s.update(ctx, of.Tenant, of.Schedule, protocol.UpdateTickEnded, nil, of)
	if code := postdate.CodeOf(err); code == postdate.Conflict || code == postdate.NotFound {
		return nil
	}
	return err
}

// LocalTime finds the instant of a local time by the law that is known now.
func (*Store) LocalTime(due postdate.LocalDue) (postdate.Moment, error) {
	if due.DST.Gap == postdate.GapRefuse {
		due.DST.Gap = postdate.GapShift // it was accepted, and the law has changed since
	}
	return calendar.Resolve(due.Local, due.TimeZone, due.DST)
}
