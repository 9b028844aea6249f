package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// uses is how many attempts h has in flight, or may begin.
func uses(h protocol.Leaseholder) int { return max(h.Share.InFlight, h.InFlight) }

// tokensAt is the number of tokens in the pool now. The pool keeps free what leaseholders
// may save themselves, so that no more than pace.Burst is ever saved in all.
func tokensAt(p protocol.TokenPool, now time.Time, pace postdate.Pace, leases []protocol.Leaseholder) float64 {
	if p.At.IsZero() {
		return float64(pace.Burst)
	}
	rate, room := pace.PerSecond, pace.Burst
	for _, h := range leases {
		rate -= h.Share.PerSecond
		if h.Until.After(now) {
			room -= h.Share.Burst
		}
	}
	return min(p.Tokens+max(0, rate)*now.Sub(p.At).Seconds(), float64(max(0, room)))
}

// lease answers [protocol.UpdateLease].
func (e *endpoint) lease(ctx workflow.Context, r protocol.LeaseRequest) (protocol.Lease, error) {
	if r.Settings.Version > 0 || r.Settings.State != "" {
		e.updateSettings(r.Settings)
	}
	e.markBusy(ctx)
	return e.apply(ctx, &r), nil
}

// grant returns the lease for the request, and enters its leaseholder in d.
func (e *endpoint) grant(r protocol.LeaseRequest, t throttle.Throttle, now time.Time, d *protocol.EndpointDecision) protocol.Lease {
	lease := protocol.Lease{TTL: postdate.Duration(protocol.LeaseTime), Waiting: e.queue.waiting, Reason: e.reason(t, now)}
	if e.enabled() {
		lease.BlockedUntil = t.BlockedUntil(now)
	}
	d.Holder = protocol.Leaseholder{
		Worker: r.Worker, InFlight: r.InFlight, Waiting: r.Waiting, ReportOnly: r.ReportOnly,
		Share: r.Has, Until: now.Add(protocol.LeaseTime),
	}
	pace := e.pace(t, now)
	wants := r.InFlight+r.Waiting > 0
	state, _ := t.BreakerState(now)
	switch {
	case !wants || r.ReportOnly: // it gives its share back
		d.Holder.Share = postdate.Pace{}
		d.Tokens = min(d.Tokens+max(0, r.Tokens), float64(max(0, pace.Burst-e.othersShare(r.Worker, now).Burst)))
	case state == postdate.BreakerHalfOpen && pace.InFlight > 0:
		lease.Pace, lease.Tokens = e.probe(r, now, d)
	default:
		lease.Pace = e.shareFor(r, pace, now)
		lease.Tokens = max(0, min(d.Tokens, float64(lease.Pace.Burst)-r.Tokens))
		d.Tokens = min(d.Tokens-lease.Tokens, float64(max(0, pace.Burst-e.othersShare(r.Worker, now).Burst-lease.Pace.Burst)))
		d.Tokens = max(0, d.Tokens)
	}
	d.Holder.Given = lease.Pace
	d.Holder.Share = maxPace(d.Holder.Share, lease.Pace)
	if wants && !r.ReportOnly && lease.Pace.InFlight == 0 {
		d.Holder.StarvedSince = now
		if before, ok := e.leaseholder(r.Worker, now); ok && !before.StarvedSince.IsZero() {
			d.Holder.StarvedSince = before.StarvedSince
		}
	}
	lease.Required = t.Active(now) || lease.Waiting > 0 || e.nearlyFull(d.Holder, now)
	return lease
}

// nearlyFull reports whether the processes use, or wait for, most of what may be in flight.
func (e *endpoint) nearlyFull(requester protocol.Leaseholder, now time.Time) bool {
	wanted := requester.InFlight + requester.Waiting
	for _, h := range e.Leases {
		if h.Worker != requester.Worker && h.Until.After(now) {
			wanted += h.InFlight + h.Waiting
		}
	}
	return 4*wanted > 3*e.Settings.Pace.InFlight
}

// probePace is so slow that no second attempt follows the probe.
const probePace = 1.0 / 3600

// probe is the lease for one attempt and no more, unless another process has it.
func (e *endpoint) probe(r protocol.LeaseRequest, now time.Time, d *protocol.EndpointDecision) (postdate.Pace, float64) {
	for _, h := range e.Leases {
		if h.Worker != r.Worker && h.Until.After(now) && h.Share.InFlight > 0 {
			return postdate.Pace{}, 0 // a probe, or a lease from before it opened
		}
	}
	pace := postdate.Pace{PerSecond: probePace, Burst: 1, InFlight: max(1, r.InFlight)}
	before, _ := e.leaseholder(r.Worker, now)
	if !before.ProbeAt.IsZero() && r.Has.InFlight > 0 && (r.InFlight > 0 || now.Sub(before.ProbeAt) < protocol.LeaseTime) {
		d.Holder.ProbeAt = before.ProbeAt
		return pace, 0
	}
	// Attempts in flight began before the breaker opened.
	d.Holder.ProbeAt = now
	pace.InFlight = r.InFlight + 1
	return pace, 1
}

// shareFor is the requester's fair share of the pace, as far as it is free.
func (e *endpoint) shareFor(r protocol.LeaseRequest, pace postdate.Pace, now time.Time) postdate.Pace {
	if pace.InFlight == 0 {
		return postdate.Pace{}
	}
	var demands []demand // in the same order for every requester
	known := false
	for _, h := range e.Leases {
		wanted := h.InFlight + h.Waiting
		if h.Worker == r.Worker {
			known, wanted = true, r.InFlight+r.Waiting
		} else if !h.Until.After(now) || h.ReportOnly {
			continue
		}
		demands = append(demands, demand{h.Worker, wanted, h.Given.InFlight > 0, h.StarvedSince})
	}
	if !known {
		demands = append(demands, demand{worker: r.Worker, permits: r.InFlight + r.Waiting})
	}
	share, others := fairShare(pace, demands, r.Worker, now), e.othersShare(r.Worker, now)
	share.InFlight = max(0, min(share.InFlight, pace.InFlight-others.InFlight))
	share.PerSecond = max(0, min(share.PerSecond, pace.PerSecond-others.PerSecond))
	share.Burst = max(0, min(share.Burst, pace.Burst-others.Burst))
	// A rate of 0 would be one without a bound, and what rounding leaves of a rate is not
	// worth a share.
	if share.InFlight == 0 || pace.PerSecond > 0 && (share.Burst == 0 || share.PerSecond < pace.PerSecond/1000) {
		return postdate.Pace{}
	}
	return share
}

// reason says why less than the limits may be sent: empty where that is not so.
func (e *endpoint) reason(t throttle.Throttle, now time.Time) string {
	state, _ := t.BreakerState(now)
	switch {
	case e.deleted():
		return "the endpoint was deleted"
	case !e.Known:
		return "the endpoint's settings are not known yet"
	case !e.enabled():
		return "the endpoint is " + string(e.Settings.State)
	case state == postdate.BreakerOpen:
		return tooManyFailed
	case t.NotBefore.After(now):
		return "the receiver asked to be left alone until " + t.NotBefore.UTC().Format(time.RFC3339)
	case state == postdate.BreakerHalfOpen:
		return "one attempt is made to see whether the receiver is back"
	case t.Reduction > 0:
		return "slowed down, as the receiver asked for less, took long, or was away"
	}
	return ""
}

// leaseholder is the worker's entry, unless its lease has ended.
func (e *endpoint) leaseholder(worker string, now time.Time) (protocol.Leaseholder, bool) {
	for _, h := range e.Leases {
		if h.Worker == worker && h.Until.After(now) {
			return h, true
		}
	}
	return protocol.Leaseholder{}, false
}

// othersShare is the sum of all other workers' shares.
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

// hasLeaseholders reports whether there are leases once h is entered.
func (e *endpoint) hasLeaseholders(h protocol.Leaseholder, now time.Time) bool {
	return h.InFlight+h.Waiting > 0 ||
		slices.ContainsFunc(e.Leases, func(other protocol.Leaseholder) bool { return other.Worker != h.Worker && other.Until.After(now) })
}

// setLeaseholder enters a worker's lease, or removes one that was returned.
func (e *endpoint) setLeaseholder(h protocol.Leaseholder) {
	at := slices.IndexFunc(e.Leases, func(other protocol.Leaseholder) bool { return other.Worker == h.Worker })
	switch returned := h.InFlight+h.Waiting == 0; {
	case returned && at >= 0:
		e.Leases = slices.Delete(e.Leases, at, at+1)
	case returned:
	case at >= 0:
		e.Leases[at] = h
	default:
		e.Leases = append(e.Leases, h)
	}
}

// dropExpired removes the leases that have ended.
func (e *endpoint) dropExpired(now time.Time) {
	e.Leases = slices.DeleteFunc(e.Leases, func(h protocol.Leaseholder) bool { return !h.Until.After(now) })
}

func maxPace(a, b postdate.Pace) postdate.Pace {
	return postdate.Pace{
		PerSecond: max(a.PerSecond, b.PerSecond), Burst: max(a.Burst, b.Burst), InFlight: max(a.InFlight, b.InFlight),
	}
}
