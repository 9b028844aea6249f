package recurrences

import (
	"context"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/calendar"
	"github.com/postdate/postdate/protocol"
)

const (
	// missedAfter is how late a tick counts as missed, and not just as late.
	missedAfter = time.Minute
	// maxStarts is how many deliveries one advance starts, and maxPassed how many ticks it
	// lets pass: a recurrence that has far to catch up advances again at once.
	maxStarts = 50
	maxPassed = 50_000
)

// advance is one call of [Store.Advance].
type advance struct {
	schedule

	store  *Store
	rule   *calendar.Rule
	now    time.Time
	starts int
}

// Advance lets the ticks pass that are due: those that are to be sent it starts, and it
// works out when the next one is due. An error that is a [postdate.Error] says that this
// cannot be worked out.
func (s *Store) Advance(ctx context.Context, in protocol.RecurrenceInput) (protocol.Advanced, error) {
	rule, err := s.rule(ctx, in.Tenant(), in.Recurrence)
	if err != nil {
		return protocol.Advanced{}, err
	}
	a := &advance{store: s, schedule: schedule{in}, rule: rule, now: s.config.Now()}
	a.endPause()
	if err := a.startBuffered(ctx); err != nil {
		return protocol.Advanced{}, err
	}
	for range maxPassed {
		next, more := rule.Next(a.Passed.Tick())
		switch {
		case !more:
			return a.settle(ctx, nil)
		case a.Skip > 0:
			a.Skip--
			a.pass(next, postdate.TickSkipped)
		case a.now.Before(a.startAt(next)):
			return a.settle(ctx, &next)
		case a.starts == maxStarts:
			return a.again(), nil
		default:
			if err := a.take(ctx, next); err != nil {
				return protocol.Advanced{}, err
			}
		}
	}
	return a.again(), nil
}

// endPause resumes a recurrence whose pause is over.
func (a *advance) endPause() {
	if p := a.Pause; p != nil && !p.Until.IsZero() && !p.Until.After(a.now) {
		a.ResumedAt, a.Pause = p.Until, nil
	}
}

// pass lets a tick pass without a delivery.
func (a *advance) pass(tick postdate.Tick, outcome postdate.TickOutcome) {
	a.Remember(postdate.TickRecord{Tick: tick, Outcome: outcome})
	a.Passed = protocol.Pass(tick)
}

// take does with a tick that is due what the recurrence says.
func (a *advance) take(ctx context.Context, tick postdate.Tick) error {
	late := a.now.Sub(tick.DueAt)
	switch {
	case a.Pause != nil || tick.DueAt.Before(a.ResumedAt):
		a.pass(tick, postdate.TickPaused)
		return nil
	case late <= missedAfter:
		if err := a.startMissed(ctx); err != nil {
			return err
		}
		return a.start(ctx, tick)
	case a.Recurrence.CatchUp.Allows(late):
		if a.Recurrence.CatchUp.One() {
			a.Missed = &tick // unless a later one was missed too
			a.pass(tick, postdate.TickMissed)
			return nil
		}
		return a.start(ctx, tick)
	default:
		a.pass(tick, postdate.TickMissed)
		return nil
	}
}

// startMissed starts the latest tick that was missed, once all of them are counted.
func (a *advance) startMissed(ctx context.Context) error {
	if a.Missed == nil {
		return nil
	}
	missed, passed := *a.Missed, a.Passed
	a.Missed = nil
	a.Forget(missed.Number)
	err := a.start(ctx, missed)
	a.Passed = passed // as far as it had come
	return err
}

// settle is how far a has come: next is the tick that follows, or nil.
func (a *advance) settle(ctx context.Context, next *postdate.Tick) (protocol.Advanced, error) {
	if err := a.startMissed(ctx); err != nil {
		return protocol.Advanced{}, err
	}
	done := protocol.Advanced{RecurrenceProgress: a.RecurrenceProgress}
	switch {
	case a.Pause != nil && a.Pause.Until.IsZero():
		done.WakeAt = a.now.Add(postdate.MaxDelay)
	case a.Pause != nil:
		done.WakeAt = a.Pause.Until
	case next == nil && a.Buffered != nil:
		// It ends once that has been sent, of which its delivery reports the end. In case
		// that report is lost, it looks again.
		done.WakeAt = a.now.Add(time.Hour)
	case next == nil && a.IsAhead(a.now):
		done.WakeAt = a.endAt()
	case next == nil:
		done.Ended = true
	default:
		done.WakeAt = a.wakeAt(*next, a.now)
	}
	return done, nil
}

// again has a recurrence that is not done advance again at once.
func (a *advance) again() protocol.Advanced {
	return protocol.Advanced{RecurrenceProgress: a.RecurrenceProgress, WakeAt: a.now}
}
