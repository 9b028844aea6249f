package workflows

import (
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/protocol"
)

// listenToLine takes the signals by which a line says that it no longer has d.
func (d *delivery) listenToLine(ctx workflow.Context) {
	for {
		var returned protocol.Returned
		if !workflow.GetSignalChannel(ctx, protocol.SignalReturned).Receive(ctx, &returned) {
			return
		}
		d.awaitLine(ctx)
		switch {
		case returned.Line != d.line:
		case d.lease == nil && !d.dequeued:
			d.leaveLine()
		case d.lease != nil && returned.Deleted:
			d.lease, d.woken = nil, true // the next attempt finds that the endpoint is deleted
		}
	}
}

// awaitLine waits until it is known in which line d waits.
func (d *delivery) awaitLine(ctx workflow.Context) {
	_ = workflow.Await(ctx, func() bool { return !d.enqueuing }) // fails only if ctx is cancelled
}

// leaveLine notes that the line no longer has d, which is enqueued again.
func (d *delivery) leaveLine() { d.dequeued, d.returned, d.Line = true, true, "" }

// lend answers [protocol.UpdateLend]. A delivery that does not wait is not lent, and is not
// expected in that line any more.
func (d *delivery) lend(ctx workflow.Context, r protocol.LendRequest) (protocol.Lent, error) {
	d.awaitLine(ctx)
	switch {
	case d.lease != nil && d.lease.ID == r.Lease: // asked again
	case r.Line != d.line || d.dequeued || d.lease != nil:
		return protocol.Lent{}, nil
	case d.state != postdate.Waiting || d.isPending() || d.superseded || d.plan.Expired(workflow.Now(ctx)):
		d.leaveLine()
		return protocol.Lent{}, nil
	default:
		now := workflow.Now(ctx)
		d.lease = &protocol.LineLease{ID: r.Lease, At: now, Until: now.Add(r.For.Duration())}
		d.dequeued = true
	}
	message := d.Shipment.Message
	return protocol.Lent{Message: &message, Number: d.Attempts.Next(), Until: d.lease.Until, ExpiresAt: d.ExpiresAt}, nil
}

// hold waits until the lease is settled or over, or until an Update changes the course of d.
func (d *delivery) hold(ctx workflow.Context) {
	d.showState(ctx, postdate.Sending)
	for d.lease != nil && d.settledAttempt == nil && !d.interruptsLease() {
		now, until := workflow.Now(ctx), d.lease.Until
		if !until.After(now) {
			attempt := leased(*d.lease).attempt(now, postdate.Failed, leaseOver(leased(*d.lease)))
			d.settledAttempt = &attempt
			d.logEnded(ctx, attempt)
			break
		}
		_, _ = workflow.AwaitWithTimeout(ctx, until.Sub(now), func() bool {
			return d.lease == nil || d.settledAttempt != nil || d.interruptsLease() || !d.lease.Until.Equal(until)
		})
	}
	d.lease = nil
}

// interruptsLease reports whether a request ends the lease: to cancel or to reschedule. To
// fire changes nothing, for a consumer has it already.
func (d *delivery) interruptsLease() bool {
	if d.pending == fireRequest {
		d.pending = noRequest
	}
	return d.isPending()
}

// afterLease decides what follows from the attempt that a lease was.
func (d *delivery) afterLease() {
	d.Attempts = d.Attempts.Append(*d.settledAttempt)
	d.settledAttempt = nil
	d.evaluate(d.Attempts.Last())
}

// logEnded logs an attempt that ended with its lease: others are logged by the process to
// which the consumer speaks.
func (d *delivery) logEnded(ctx workflow.Context, attempt postdate.Attempt) {
	m := d.Shipment.Message
	workflow.GetLogger(ctx).Warn("attempt", "tenant", m.Tenant, "id", m.ID, "type", m.Type, "entity", m.Entity,
		"attempt", d.Attempts.Next(), "outcome", string(attempt.Outcome), "duration_ms", attempt.DurationMS,
		"endpoint", d.Shipment.To.Endpoint, "delivery", d.Shipment.ID(), "error", attempt.Error)
}

// settleLease answers [protocol.UpdateSettle].
func (d *delivery) settleLease(ctx workflow.Context, r protocol.SettleRequest) (protocol.SettleResponse, error) {
	now := workflow.Now(ctx)
	response := protocol.SettleResponse{Settled: make([]protocol.Settled, len(r.Settlements))}
	for n, s := range r.Settlements {
		response.Settled[n] = d.settleOne(s, now)
	}
	return response, nil
}

func (d *delivery) settleOne(s protocol.Settlement, now time.Time) protocol.Settled {
	switch {
	case s.Action == postdate.Ack && s.Lease == d.acknowledged: // it is repeated
		return protocol.Settled{Result: postdate.Acknowledged}
	case d.lease == nil || d.lease.ID != s.Lease || d.settledAttempt != nil || d.interruptsLease() || !d.lease.Until.After(now):
		return protocol.Settled{Result: postdate.LeaseEnded}
	case s.Action == postdate.Extend:
		d.lease.Until = now.Add(s.For.Duration())
		return protocol.Settled{Result: postdate.Extended, Until: d.lease.Until}
	case s.Action == protocol.ReturnAction:
		d.lease = nil
		d.leaveLine()
		return protocol.Settled{Result: postdate.LeaseEnded}
	}
	attempt := settledAttempt(leased(*d.lease), s, now)
	d.settledAttempt = &attempt
	if s.Action == postdate.Ack {
		d.acknowledged = s.Lease
	}
	return settled(d.Shipment.Message, s.Action, attempt)
}
