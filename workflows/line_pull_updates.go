package workflows

import (
	"errors"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listenToConsumers sets the handlers of a line whose endpoint is pulled from.
func (l *line) listenToConsumers(ctx workflow.Context) error {
	if !l.Pull {
		return nil
	}
	return errors.Join(
		setUpdate(ctx, protocol.UpdateTake, l.take, nil, "Leases deliveries to consumers."),
		setUpdate(ctx, protocol.UpdateSettle, l.settle, nil, "Settles leases: they are acknowledged, failed or extended."),
		workflow.SetQueryHandlerWithOptions(ctx, protocol.QueryLine, l.read,
			workflow.QueryHandlerOptions{Description: "What became of the deliveries, and who has leased them."}),
	)
}

// read answers [protocol.QueryLine].
func (l *line) read() (protocol.LineRead, error) {
	return protocol.LineRead{Result: l.Result, Moved: l.Moved, Leases: l.Leases}, nil
}

// take answers [protocol.UpdateTake].
func (l *line) take(ctx workflow.Context, r protocol.TakeRequest) (protocol.TakeResult, error) {
	l.replace(ctx, r.Superseded)
	now := workflow.Now(ctx)
	result := protocol.TakeResult{Taken: make([][]protocol.TakenEntry, len(r.Takes))}
	place := 0
	for n, take := range r.Takes {
		if now.After(take.Until) {
			continue
		}
		for ; place < len(l.Entries) && len(result.Taken[n]) < take.N; place++ {
			entry := l.Entries[place]
			if !l.isOpen(place) || !entry.ExpiresAt.IsZero() && !entry.ExpiresAt.After(now) {
				continue
			}
			lease := protocol.LineLease{ID: take.Lease, At: now, Until: now.Add(take.For.Duration())}
			l.setLease(place, lease)
			l.sooner(lease.Until)
			result.Taken[n] = append(result.Taken[n], protocol.TakenEntry{
				Place: place, DeliveryID: entry.DeliveryID, Message: entry.Message, Until: lease.Until, ExpiresAt: entry.ExpiresAt,
			})
		}
	}
	if len(l.Leases) > 0 && !l.shown {
		l.shown = true
		l.showPulled(ctx)
	}
	l.touch(ctx)
	result.Status = l.status()
	return result, nil
}

// replace cancels the entries at these places, which newer messages replace, unless a
// consumer has them.
func (l *line) replace(ctx workflow.Context, places []int) {
	for _, place := range places {
		switch {
		case place < 0 || place >= len(l.Entries) || !l.isOpen(place):
		case l.Entries[place].Message != nil:
			l.cancel(ctx, place, byNewerMessage)
			l.interrupt = true
		default:
			l.move(place)
			l.superseded = append(l.superseded, l.Entries[place].DeliveryID)
			l.interrupt = true
		}
	}
}

// settle answers [protocol.UpdateSettle].
func (l *line) settle(ctx workflow.Context, r protocol.SettleRequest) (protocol.SettleResponse, error) {
	now := workflow.Now(ctx)
	response := protocol.SettleResponse{Settled: make([]protocol.Settled, len(r.Settlements))}
	for n, s := range r.Settlements {
		response.Settled[n] = l.settleOne(s, now)
	}
	l.touch(ctx)
	response.Status = l.status()
	return response, nil
}

func (l *line) settleOne(s protocol.Settlement, now time.Time) protocol.Settled {
	lease, ok := l.Leases[s.Place]
	if !ok || lease.ID == "" || lease.ID != s.Lease {
		return protocol.Settled{Result: postdate.UnknownReceipt}
	}
	if lease.Ended != "" || l.states[s.Place] != pending || !lease.Until.After(now) {
		return protocol.Settled{Result: repeated(s.Action, lease.Ended)}
	}
	entry := l.Entries[s.Place]
	switch {
	case s.Action == postdate.Extend:
		lease.Until = now.Add(s.For.Duration())
		l.setLease(s.Place, lease)
		l.sooner(lease.Until)
		return protocol.Settled{Result: postdate.Extended, Until: lease.Until}
	case entry.Message == nil: // its own execution has decided
		l.endLease(s.Place, resultOf(s.Action))
		l.move(s.Place)
		return protocol.Settled{Result: resultOf(s.Action)}
	case s.Action == protocol.ReturnAction:
		delete(l.Leases, s.Place)
		return protocol.Settled{Result: postdate.LeaseEnded}
	}
	attempt := settledAttempt(leased(lease), s, now)
	l.endLease(s.Place, resultOf(s.Action))
	if s.Action == postdate.Ack {
		l.states[s.Place] = delivered
		attempt.Number = 1
		l.Result.Delivered[s.Place] = attempt
	} else {
		l.nacked = append(l.nacked, l.undelivered(s.Place, attempt))
		l.interrupt = true
	}
	return settled(*entry.Message, s.Action, attempt)
}

// settledAttempt is the attempt that a consumer has settled.
func settledAttempt(lease leased, s protocol.Settlement, now time.Time) postdate.Attempt {
	if s.Action == postdate.Ack {
		return lease.attempt(now, postdate.Accepted, "")
	}
	attempt := lease.attempt(now, postdate.Failed, notAccepted(s.Reason))
	attempt.RetryAfter = s.RetryAfter
	return attempt
}

// settled is what becomes of a lease that an action has just settled.
func settled(m postdate.Message, action postdate.SettleAction, attempt postdate.Attempt) protocol.Settled {
	return protocol.Settled{
		Result: resultOf(action), First: true, Type: m.Type, Entity: m.Entity, At: attempt.At, DurationMS: attempt.DurationMS,
	}
}

// resultOf is the result of an action that settles a lease.
func resultOf(action postdate.SettleAction) postdate.SettleResult {
	switch action {
	case postdate.Ack:
		return postdate.Acknowledged
	case postdate.Nack:
		return postdate.Nacked
	default:
		return postdate.LeaseEnded
	}
}

// repeated is the result of an action on a lease that has ended: the same as the first
// time, if it was the same action that ended it.
func repeated(action postdate.SettleAction, ended postdate.SettleResult) postdate.SettleResult {
	if ended == resultOf(action) || ended == postdate.LeaseCancelled {
		return ended
	}
	return postdate.LeaseEnded
}
