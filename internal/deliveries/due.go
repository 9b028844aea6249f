package deliveries

import (
	"context"
	"errors"
	"time"

	"go.temporal.io/api/serviceerror"
	"golang.org/x/sync/errgroup"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/protocol"
)

const (
	// dueSlack is how long after it is due Temporal may take up a delivery, and by how
	// much its clock may differ from ours: a query by execution time asks for so much
	// more, and what comes is compared with the due times themselves.
	dueSlack = 5 * time.Minute
	// What is due in the last days of a century is woken that much earlier, since Temporal
	// delays no start by more than [postdate.MaxDelay], and sleeps on.
	farAhead, leapDays = 365 * 24 * time.Hour, 26 * 24 * time.Hour
	// startSlack bounds how long after the options of a start were made it takes place,
	// and startPrecision is that of the times in Temporal's lists.
	startSlack     = 15 * time.Second
	startPrecision = 10 * time.Microsecond
)

// dueConditions ask for executions that may carry deliveries due in the times that f names.
// Deliveries that wait in a line are due at times of their own, and what is due with many
// others may start late.
func dueConditions(f postdate.Filter, now time.Time) []string {
	var conditions []string
	line := "WorkflowType = " + executions.Quote(protocol.LineWorkflow)
	if f.DueBefore != nil {
		conditions = append(conditions, "(ExecutionTime < "+executions.QuoteTime(f.DueBefore.Add(dueSlack))+
			" OR "+protocol.AttrBurst.GetName()+" IS NOT NULL OR "+line+")")
	}
	if f.DueAfter != nil {
		from := f.DueAfter.Add(-dueSlack)
		if from.After(now) {
			from = from.Add(-protocol.LawLead) // what is due at a local time wakes so much earlier
		}
		if from.Sub(now) > farAhead {
			from = from.Add(-leapDays)
		}
		conditions = append(conditions, "(ExecutionTime >= "+executions.QuoteTime(from)+" OR "+line+")")
	}
	return conditions
}

// isDue reports whether r is due in the times that f names.
func isDue(f postdate.Filter, r row) bool {
	return (f.DueBefore == nil || r.DueAt.Before(*f.DueBefore)) && (f.DueAfter == nil || !r.DueAt.Before(*f.DueAfter))
}

// setDue sets when r is due, as its execution was started for. That holds until it is
// rescheduled, which restarts it; whether it was is seen by its times, and else r is to
// be read.
func (r *row) setDue(accepted protocol.Accepted) {
	start, taken := asTime(r.info.GetStartTime()), asTime(r.info.GetExecutionTime())
	late := start.Sub(accepted.StartedAt)
	delay := taken.Sub(start) - max(0, accepted.DueAt.Sub(accepted.StartedAt))
	if accepted.StartedAt.IsZero() || late.Abs() > startSlack || delay.Abs() > startPrecision {
		r.DueAt, r.restarted = taken, true
		return
	}
	r.DueAt = accepted.DueAt
}

// readDue reads when a delivery is due from what its execution was started with. One that
// is deleted by then keeps the time of its execution.
func (s *Store) readDue(ctx context.Context, r *row) error {
	if !r.restarted {
		return nil
	}
	r.restarted = false
	var in protocol.DeliverInput
	err := s.executions.ReadInput(ctx, r.info, &in)
	if _, deleted := errors.AsType[*serviceerror.NotFound](err); deleted {
		return nil
	}
	if err == nil {
		r.DueAt = in.Shipment.DueAt
	}
	return err
}

// readDues is readDue for many.
func (s *Store) readDues(ctx context.Context, rows []row) error {
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(maxParallel)
	for i := range rows {
		if rows[i].restarted {
			reading.Go(func() error { return s.readDue(ctx, &rows[i]) })
		}
	}
	return reading.Wait()
}
