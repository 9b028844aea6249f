package activities

import (
	"context"
	"errors"

	"go.temporal.io/sdk/temporal"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// Recurrences works out when recurring schedules are due, and starts the deliveries of
// their ticks. Each of its methods can be repeated. A [postdate.Error] says that
// repeating it would not help, unless it is [postdate.Unavailable].
type Recurrences interface {
	// Advance lets the ticks pass that are due, and returns what follows.
	Advance(ctx context.Context, in protocol.RecurrenceInput) (protocol.Advanced, error)
	// Fire starts an extra delivery.
	Fire(ctx context.Context, in protocol.FireInput) (postdate.TickRecord, error)
	// Backfill starts the deliveries of the ticks in a range that have none.
	Backfill(ctx context.Context, in protocol.BackfillInput) (protocol.Backfilled, error)
	// TickEnded reports to a recurrence that the delivery of a tick has ended.
	TickEnded(ctx context.Context, of protocol.TickEnded) error
	// LocalTime finds the instant of a local time by the law that is known now.
	LocalTime(due postdate.LocalDue) (postdate.Moment, error)
}

// Withdrawer cancels deliveries as if they had not been started.
type Withdrawer interface {
	// Withdraw reports whether it did: a delivery that has ended, or is being sent, stays.
	// It can be repeated.
	Withdraw(ctx context.Context, tenant, id string) (bool, error)
}

func (a *Activities) registerRecurrence(r Registry) {
	register(r, protocol.AdvanceActivity, heartbeating(a.AdvanceRecurrence))
	register(r, protocol.FireActivity, heartbeating(a.FireRecurrence))
	register(r, protocol.BackfillActivity, heartbeating(a.BackfillRecurrence))
	register(r, protocol.WithdrawActivity, heartbeating(a.WithdrawTick))
	register(r, protocol.TickEndedActivity, heartbeatingOnly(a.TickEnded))
	register(r, protocol.LocalTimeActivity, heartbeating(a.LocalTime))
}

// AdvanceRecurrence starts what is due of a recurring schedule, and works out what follows.
func (a *Activities) AdvanceRecurrence(ctx context.Context, in protocol.RecurrenceInput) (protocol.Advanced, error) {
	advanced, err := a.Recurrences.Advance(ctx, in)
	return advanced, permanent(err)
}

// FireRecurrence starts an extra delivery of a recurring schedule.
func (a *Activities) FireRecurrence(ctx context.Context, in protocol.FireInput) (postdate.TickRecord, error) {
	record, err := a.Recurrences.Fire(ctx, in)
	return record, permanent(err)
}

// BackfillRecurrence starts the deliveries of ticks that had none.
func (a *Activities) BackfillRecurrence(ctx context.Context, in protocol.BackfillInput) (protocol.Backfilled, error) {
	done, err := a.Recurrences.Backfill(ctx, in)
	return done, permanent(err)
}

// WithdrawTick cancels the delivery of a tick that was started ahead.
func (a *Activities) WithdrawTick(ctx context.Context, of protocol.WithdrawTick) (bool, error) {
	withdrawn, err := a.Withdrawer.Withdraw(ctx, of.Tenant, of.DeliveryID)
	return withdrawn, permanent(err)
}

// TickEnded reports to a recurring schedule that the delivery of a tick has ended.
func (a *Activities) TickEnded(ctx context.Context, of protocol.TickEnded) error {
	return permanent(a.Recurrences.TickEnded(ctx, of))
}

// LocalTime finds the instant of a local time.
func (a *Activities) LocalTime(_ context.Context, due postdate.LocalDue) (postdate.Moment, error) {
	at, err := a.Recurrences.LocalTime(due)
	return at, permanent(err)
}

// permanent is err, so that Temporal repeats the activity only where that may help.
func permanent(err error) error {
	refusal, refused := errors.AsType[*postdate.Error](err)
	switch {
	case !refused:
		return err
	case refusal.Code == postdate.Unavailable:
		return temporal.NewApplicationErrorWithCause(refusal.Detail, string(refusal.Code), err)
	}
	return protocol.EncodeError(refusal)
}
