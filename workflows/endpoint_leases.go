package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// uses is how much of what may be in flight h has, or may have.
func uses(h protocol.Leaseholder) int { return max(h.Share.InFlight, h.InFlight) }

// at is what is in the bank now. What holders may save up themselves has no room
// in it: so no more than pace.Burst is ever saved up in all.
func tokensAt(b protocol.TokenPool, now time.Time, pace postdate.Pace, holders []protocol.Leaseholder) float64 {
	if b.At.IsZero() {
		return float64(pace.Burst)
	}
	rate, room := pace.PerSecond, pace.Burst
	for _, h := range holders {
		rate -= h.Share.PerSecond
		if h.Until.After(now) {
			room -= h.Share.Burst
		}
	}
	return min(b.Tokens+max(0, rate)*now.Sub(b.At).Seconds(), float64(max(0, room)))
}

// lease answers [UpdateLease].
func (e *endpoint) lease(ctx workflow.Context, ask protocol.LeaseRequest) (protocol.Lease, error) {
	if ask.Settings.Version > 0 || ask.Settings.State != "" {
		e.updateSettings(ask.Settings)
	}
	e.markBusy(ctx)
	return e.apply(ctx, &ask), nil
}

// grant is the lease for who asks, as noted in d.
func (e *endpoint) grant(ask protocol.LeaseRequest, f throttle.Throttle, now time.Time, d *protocol.EndpointDecision) protocol.Lease {
	lease := protocol.Lease{TTL: postdate.Duration(protocol.LeaseTime), Waiting: e.waiting(), Reason: e.reason(f, now)}
	if e.enabled() {
		lease.BlockedUntil = f.BlockedUntil(now)
	}
	d.Holder = protocol.Leaseholder{
		Worker: ask.Worker, InFlight: ask.InFlight, Waiting: ask.Waiting, ReportOnly: ask.ReportOnly,
		Share: ask.Has, Until: now.Add(protocol.LeaseTime),
	}
	pace := e.pace(f, now)
	wants := ask.InFlight+ask.Waiting > 0
	state, _ := f.BreakerState(now)
	switch {
	case !wants || ask.ReportOnly: // it gives its share back
		d.Holder.Share = postdate.Pace{}
		d.Tokens = min(d.Tokens+max(0, ask.Tokens), float64(max(0, pace.Burst-e.othersShare(ask.Worker, now).Burst)))
	case state == postdate.BreakerHalfOpen && pace.InFlight > 0:
		lease.Pace, lease.Tokens = e.probe(ask, now, d)
	default:
		lease.Pace = e.shareFor(ask, pace, now)
		lease.Tokens = max(0, min(d.Tokens, float64(lease.Pace.Burst)-ask.Tokens))
		d.Tokens = min(d.Tokens-lease.Tokens, float64(max(0, pace.Burst-e.othersShare(ask.Worker, now).Burst-lease.Pace.Burst)))
		d.Tokens = max(0, d.Tokens)
	}
	d.Holder.Given = lease.Pace
	d.Holder.Share = maxPace(d.Holder.Share, lease.Pace)
	if wants && !ask.ReportOnly && lease.Pace.InFlight == 0 {
		d.Holder.StarvedSince = now
		if before, ok := e.leaseholder(ask.Worker, now); ok && !before.StarvedSince.IsZero() {
			d.Holder.StarvedSince = before.StarvedSince
		}
	}
	lease.Required = f.Active(now) || lease.Waiting > 0 || e.nearlyFull(d.Holder, now)
	return lease
}

// nearlyFull tells whether workers use, or want, most of what may be in flight.
func (e *endpoint) nearlyFull(asker protocol.Leaseholder, now time.Time) bool {
	wanted := asker.InFlight + asker.Waiting
	for _, h := range e.Leases {
		if h.Worker != asker.Worker && h.Until.After(now) {
			wanted += h.InFlight + h.Waiting
		}
	}
	return 4*wanted > 3*e.Settings.Pace.InFlight
}

// probePace has no second attempt follow the probe.
const probePace = 1.0 / 3600

// probe is the lease for one attempt and no more, where nobody else has it.
func (e *endpoint) probe(ask protocol.LeaseRequest, now time.Time, d *protocol.EndpointDecision) (postdate.Pace, float64) {
	for _, h := range e.Leases {
		if h.Worker != ask.Worker && h.Until.After(now) && h.Share.InFlight > 0 {
			return postdate.Pace{}, 0 // a probe, or a lease from before it opened
		}
	}
	pace := postdate.Pace{PerSecond: probePace, Burst: 1, InFlight: max(1, ask.InFlight)}
	before, _ := e.leaseholder(ask.Worker, now)
	if !before.ProbeAt.IsZero() && ask.Has.InFlight > 0 && (ask.InFlight > 0 || now.Sub(before.ProbeAt) < protocol.LeaseTime) {
		d.Holder.ProbeAt = before.ProbeAt
		return pace, 0
	}
	// What is in flight there still was sent before the breaker opened.
	d.Holder.ProbeAt = now
	pace.InFlight = ask.InFlight + 1
	return pace, 1
}

// shareFor is who asks' share of pace: what is fair, as far as it is free.
func (e *endpoint) shareFor(ask protocol.LeaseRequest, pace postdate.Pace, now time.Time) postdate.Pace {
	if pace.InFlight == 0 {
		return postdate.Pace{}
	}
	var claims []demandOf // in the same order for everybody
	known := false
	for _, h := range e.Leases {
		demand := h.InFlight + h.Waiting
		if h.Worker == ask.Worker {
			known, demand = true, ask.InFlight+ask.Waiting
		} else if !h.Until.After(now) || h.ReportOnly {
			continue
		}
		claims = append(claims, demandOf{h.Worker, demand, h.Given.InFlight > 0, h.StarvedSince})
	}
	if !known {
		claims = append(claims, demandOf{worker: ask.Worker, demand: ask.InFlight + ask.Waiting})
	}
	given, others := fairShare(pace, claims, ask.Worker, now), e.othersShare(ask.Worker, now)
	given.InFlight = max(0, min(given.InFlight, pace.InFlight-others.InFlight))
	given.PerSecond = max(0, min(given.PerSecond, pace.PerSecond-others.PerSecond))
	given.Burst = max(0, min(given.Burst, pace.Burst-others.Burst))
	// A rate of nothing would be one without bound, and what of it is left over by
	// rounding is not worth a share.
	if given.InFlight == 0 || pace.PerSecond > 0 && (given.Burst == 0 || given.PerSecond < pace.PerSecond/1000) {
		return postdate.Pace{}
	}
	return given
}

// reason says why less than the limits may be sent.
func (e *endpoint) reason(f throttle.Throttle, now time.Time) string {
	state, _ := f.BreakerState(now)
	switch {
	case e.deleted():
		return "the endpoint was deleted"
	case !e.Known:
		return "its settings are not known yet"
	case !e.enabled():
		return "the endpoint is " + string(e.Settings.State)
	case state == postdate.BreakerOpen:
		return tooManyFailed
	case f.NotBefore.After(now):
		return "the receiver asked to be left alone until " + f.NotBefore.UTC().Format(time.RFC3339)
	case state == postdate.BreakerHalfOpen:
		return "one attempt is made to see whether the receiver is back"
	case f.Reduction > 0:
		return "slowed down, as the receiver asked for less, took long, or was away"
	}
	return ""
}

// leaseholder is the worker's entry, where its lease has not ended.
func (e *endpoint) leaseholder(worker string, now time.Time) (protocol.Leaseholder, bool) {
	for _, h := range e.Leases {
		if h.Worker == worker && h.Until.After(now) {
			return h, true
		}
	}
	return protocol.Leaseholder{}, false
}

// othersShare is what all others than the worker have.
func (e *endpoint) othersShare(worker string, now time.Time) (sum postdate.Pace) {
	for _, h := range e.Leases {
		if h.Worker != worker && h.Until.After(now) {
			sum.InFlight += uses(h)
			sum.PerSecond += h.Share.PerSecond
			sum.Burst += h.Share.Burst
		}
	}
	return sum
}

// hasLeaseholders tells whether anybody has a lease once h is noted.
func (e *endpoint) hasLeaseholders(h protocol.Leaseholder, now time.Time) bool {
	return h.InFlight+h.Waiting > 0 ||
		slices.ContainsFunc(e.Leases, func(other protocol.Leaseholder) bool { return other.Worker != h.Worker && other.Until.After(now) })
}

// setLeaseholder notes what a worker has now: nothing, if it gave its share back.
func (e *endpoint) setLeaseholder(h protocol.Leaseholder) {
	at := slices.IndexFunc(e.Leases, func(other protocol.Leaseholder) bool { return other.Worker == h.Worker })
	switch gone := h.InFlight+h.Waiting == 0; {
	case gone && at >= 0:
		e.Leases = slices.Delete(e.Leases, at, at+1)
	case gone:
	case at >= 0:
		e.Leases[at] = h
	default:
		e.Leases = append(e.Leases, h)
	}
}

// drop forgets the leases that have ended.
func (e *endpoint) dropExpired(now time.Time) {
	e.Leases = slices.DeleteFunc(e.Leases, func(h protocol.Leaseholder) bool { return !h.Until.After(now) })
}

func maxPace(a, b postdate.Pace) postdate.Pace {
	return postdate.Pace{
		PerSecond: max(a.PerSecond, b.PerSecond), Burst: max(a.Burst, b.Burst), InFlight: max(a.InFlight, b.InFlight),
	}
}
