package workflows

import (
	"slices"
	"time"

	"go.temporal.io/sdk/workflow"

	"github.com/postdate/postdate"
)

// Holder is a worker that holds a lease, or told of itself lately.
type Holder struct {
	Worker   string `json:"worker"`
	InFlight int    `json:"in_flight,omitempty"`
	Asking   int    `json:"asking,omitempty"`
	// Share is what it may use until it asks again: what it was given, or held
	// before, whichever is more.
	Share postdate.Pace `json:"share,omitzero"`
	// Given is what it was told.
	Given postdate.Pace `json:"given,omitzero"`
	Until time.Time     `json:"until"`
	// HungrySince is since when it has wanted a share and got none.
	HungrySince time.Time `json:"hungry_since,omitzero"`
	// ProbeAt is when it was given the probe of a half-open breaker.
	ProbeAt time.Time `json:"probe_at,omitzero"`
	Calm    bool      `json:"calm,omitempty"`
}

// uses is how much of what may be in flight h has, or may have.
func (h Holder) uses() int { return max(h.Share.InFlight, h.InFlight) }

// Bank saves up what of a rate is in nobody's share.
type Bank struct {
	Tokens float64   `json:"tokens,omitempty"`
	At     time.Time `json:"at,omitzero"`
}

// at is what is in the bank now. What holders may save up themselves has no room
// in it: so no more than pace.Burst is ever saved up in all.
func (b Bank) at(now time.Time, pace postdate.Pace, holders []Holder) float64 {
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
func (e *endpoint) lease(ctx workflow.Context, ask AskLease) (Lease, error) {
	if ask.Settings.Version > 0 || ask.Settings.State != "" {
		e.learn(ask.Settings)
	}
	e.busy(ctx)
	return e.decide(ctx, &ask), nil
}

// give is the lease for who asks, as noted in d.
func (e *endpoint) give(ask AskLease, f postdate.Flow, now time.Time, d *decision) Lease {
	lease := Lease{For: postdate.Duration(LeaseTime), Waiting: e.waiting(), Reason: e.reason(f, now)}
	if e.enabled() {
		lease.ClosedUntil = f.ClosedUntil(now)
	}
	d.Holder = Holder{
		Worker: ask.Worker, InFlight: ask.InFlight, Asking: ask.Asking, Calm: ask.Calm,
		Share: ask.Held, Until: now.Add(LeaseTime),
	}
	pace := e.pace(f, now)
	wants := ask.InFlight+ask.Asking > 0
	state, _ := f.Breaker(now)
	switch {
	case !wants || ask.Calm: // it gives its share back
		d.Holder.Share = postdate.Pace{}
		d.Tokens = min(d.Tokens+max(0, ask.Saved), float64(max(0, pace.Burst-e.share(ask.Worker, now).Burst)))
	case state == postdate.BreakerHalfOpen && pace.InFlight > 0:
		lease.Pace, lease.Tokens = e.probe(ask, now, d)
	default:
		lease.Pace = e.portion(ask, pace, now)
		lease.Tokens = max(0, min(d.Tokens, float64(lease.Pace.Burst)-ask.Saved))
		d.Tokens = min(d.Tokens-lease.Tokens, float64(max(0, pace.Burst-e.share(ask.Worker, now).Burst-lease.Pace.Burst)))
		d.Tokens = max(0, d.Tokens)
	}
	d.Holder.Given = lease.Pace
	d.Holder.Share = more(d.Holder.Share, lease.Pace)
	if wants && !ask.Calm && lease.Pace.InFlight == 0 {
		d.Holder.HungrySince = now
		if before, ok := e.holder(ask.Worker, now); ok && !before.HungrySince.IsZero() {
			d.Holder.HungrySince = before.HungrySince
		}
	}
	lease.Engaged = f.Troubled(now) || lease.Waiting > 0 || e.crowded(d.Holder, now)
	return lease
}

// crowded tells whether workers use, or want, most of what may be in flight.
func (e *endpoint) crowded(asker Holder, now time.Time) bool {
	wanted := asker.InFlight + asker.Asking
	for _, h := range e.Leases {
		if h.Worker != asker.Worker && h.Until.After(now) {
			wanted += h.InFlight + h.Asking
		}
	}
	return 4*wanted > 3*e.Settings.Pace.InFlight
}

// probePace has no second attempt follow the probe.
const probePace = 1.0 / 3600

// probe is the lease for one attempt and no more, where nobody else has it.
func (e *endpoint) probe(ask AskLease, now time.Time, d *decision) (postdate.Pace, float64) {
	for _, h := range e.Leases {
		if h.Worker != ask.Worker && h.Until.After(now) && h.Share.InFlight > 0 {
			return postdate.Pace{}, 0 // a probe, or a lease from before it opened
		}
	}
	pace := postdate.Pace{PerSecond: probePace, Burst: 1, InFlight: max(1, ask.InFlight)}
	before, _ := e.holder(ask.Worker, now)
	if !before.ProbeAt.IsZero() && ask.Held.InFlight > 0 && (ask.InFlight > 0 || now.Sub(before.ProbeAt) < LeaseTime) {
		d.Holder.ProbeAt = before.ProbeAt
		return pace, 0
	}
	// What is in flight there still was sent before the breaker opened.
	d.Holder.ProbeAt = now
	pace.InFlight = ask.InFlight + 1
	return pace, 1
}

// portion is who asks' share of pace: what is fair, as far as it is free.
func (e *endpoint) portion(ask AskLease, pace postdate.Pace, now time.Time) postdate.Pace {
	if pace.InFlight == 0 {
		return postdate.Pace{}
	}
	var claims []claim // in the same order for everybody
	known := false
	for _, h := range e.Leases {
		demand := h.InFlight + h.Asking
		if h.Worker == ask.Worker {
			known, demand = true, ask.InFlight+ask.Asking
		} else if !h.Until.After(now) || h.Calm {
			continue
		}
		claims = append(claims, claim{h.Worker, demand, h.Given.InFlight > 0, h.HungrySince})
	}
	if !known {
		claims = append(claims, claim{worker: ask.Worker, demand: ask.InFlight + ask.Asking})
	}
	given, others := fairShare(pace, claims, ask.Worker, now), e.share(ask.Worker, now)
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
func (e *endpoint) reason(f postdate.Flow, now time.Time) string {
	state, _ := f.Breaker(now)
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
	case f.Cut > 0:
		return "slowed down, as the receiver asked for less, took long, or was away"
	}
	return ""
}

// holder is the worker's entry, where its lease has not ended.
func (e *endpoint) holder(worker string, now time.Time) (Holder, bool) {
	for _, h := range e.Leases {
		if h.Worker == worker && h.Until.After(now) {
			return h, true
		}
	}
	return Holder{}, false
}

// share is what all others than the worker have.
func (e *endpoint) share(worker string, now time.Time) (sum postdate.Pace) {
	for _, h := range e.Leases {
		if h.Worker != worker && h.Until.After(now) {
			sum.InFlight += h.uses()
			sum.PerSecond += h.Share.PerSecond
			sum.Burst += h.Share.Burst
		}
	}
	return sum
}

// holding tells whether anybody has a lease once h is noted.
func (e *endpoint) holding(h Holder, now time.Time) bool {
	return h.InFlight+h.Asking > 0 ||
		slices.ContainsFunc(e.Leases, func(other Holder) bool { return other.Worker != h.Worker && other.Until.After(now) })
}

// hold notes what a worker has now: nothing, if it gave its share back.
func (e *endpoint) hold(h Holder) {
	at := slices.IndexFunc(e.Leases, func(other Holder) bool { return other.Worker == h.Worker })
	switch gone := h.InFlight+h.Asking == 0; {
	case gone && at >= 0:
		e.Leases = slices.Delete(e.Leases, at, at+1)
	case gone:
	case at >= 0:
		e.Leases[at] = h
	default:
		e.Leases = append(e.Leases, h)
	}
}

// forget forgets the leases that have ended.
func (e *endpoint) forget(now time.Time) {
	e.Leases = slices.DeleteFunc(e.Leases, func(h Holder) bool { return !h.Until.After(now) })
}

func more(a, b postdate.Pace) postdate.Pace {
	return postdate.Pace{
		PerSecond: max(a.PerSecond, b.PerSecond), Burst: max(a.Burst, b.Burst), InFlight: max(a.InFlight, b.InFlight),
	}
}
