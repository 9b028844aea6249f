package activities

import (
	"cmp"
	"context"
	"log/slog"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Canaries changes canaries, and has the executions of their endpoints know.
type Canaries interface {
	// SignalEndpoint signals to an endpoint's execution, and to its canary's, what is
	// configured now. It starts the endpoint's where the canary takes something.
	SignalEndpoint(ctx context.Context, of protocol.CanaryRef) error
	// ChangeCanary changes a canary, and returns its endpoint's settings after that. Where
	// there is none any more that is no error.
	ChangeCanary(ctx context.Context, tenant string, change protocol.ChangeCanary) (protocol.EndpointSettings, error)
}

// SignalEndpoint has the executions of an endpoint and of its canary know their settings.
func (a *Activities) SignalEndpoint(ctx context.Context, of protocol.CanaryRef) error {
	return a.Canaries.SignalEndpoint(ctx, of)
}

// ChangeCanary changes a canary, as the execution of its endpoint has decided.
func (a *Activities) ChangeCanary(ctx context.Context, in protocol.EndpointCanaryChange) (protocol.EndpointSettings, error) {
	return a.Canaries.ChangeCanary(ctx, in.Tenant, in.Change)
}

// maxMirrored bounds the copies that are under way in this process. What is beyond it is
// not copied: a copy must cost the message nothing.
const maxMirrored = 256

// mirror sends a copy of s, whose first attempt is made now, to a canary that mirrors e. It
// does not wait for it. The answer is counted and logged, and changes nothing.
func (a *Activities) mirror(ctx context.Context, s protocol.DeliveryTask, e postdate.Endpoint) {
	if c := e.Canary; !c.Active() || !c.Mirror || s.Took != "" || s.Test || !c.Takes(s.Message.Entity) {
		return
	}
	if a.mirrored.Add(1) > maxMirrored {
		a.mirrored.Add(-1)
		return
	}
	go func() {
		defer a.mirrored.Add(-1)
		a.sendCopy(context.WithoutCancel(ctx), s, e.At(e.Canary.ID))
	}()
}

// sendCopy sends a copy of s to a canary, if it has a permit to give soon.
func (a *Activities) sendCopy(ctx context.Context, s protocol.DeliveryTask, canary postdate.Endpoint) {
	permit, err := a.acquire(ctx, s.Message.Tenant, canary, throttle.PermitRequest{Since: a.Now()})
	if err != nil {
		return
	}
	var attempt postdate.Attempt
	defer func() { permit.Release(attempt) }()
	target := canary.Target(a.Now())
	target.Mirror = true
	s.Timeout = cmp.Or(s.Timeout, canary.Timeout)
	attempt, err = a.send(ctx, s, target)
	attempt = atCanary(attempt, target.Canary)
	attempt.Number = 1
	a.report(ctx, s, target, attempt, err)
}

// atCanary is an attempt that was made at a canary: empty for none. A canary that wants
// nothing any more is rolled back, and the message goes on at the primary.
func atCanary(attempt postdate.Attempt, canary string) postdate.Attempt {
	if canary == "" {
		return attempt
	}
	attempt.Canary = canary
	if attempt.Outcome == postdate.Gone {
		attempt.Outcome, attempt.Disable = postdate.Failed, true
		attempt.Error = cmp.Or(attempt.Error, "the canary wants nothing any more")
	}
	return attempt
}

// canaryAttrs are the attributes of an attempt's line that say which side it took.
func canaryAttrs(target postdate.Target) []slog.Attr {
	if target.Canary == "" {
		return nil
	}
	attrs := []slog.Attr{slog.String("canary", target.Canary)}
	if target.Mirror {
		attrs = append(attrs, slog.Bool("mirror", true))
	}
	return attrs
}

// sideOf is the side that the first attempt at an item of a group takes.
func (a *Activities) sideOf(ctx context.Context, in protocol.GroupInput, item protocol.GroupItem) string {
	if item.Endpoint == "" {
		return ""
	}
	m := in.Messages[item.Event]
	tenant, err := a.Tenants.Tenant(ctx, m.Tenant)
	if err != nil {
		return "" // whoever acquires the permit reports it
	}
	e, _ := tenant.Endpoint(item.Endpoint)
	return e.Side(m.Entity, "")
}

// took is the side that the entries of a line take.
func (l *lineSend) took() string { return cmp.Or(l.Canary, postdate.TookPrimary) }

// leaveCanary records that the line's canary takes nothing any more.
func (l *lineSend) leaveCanary() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.progress.NoCanary = true
}
