package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Send makes one attempt and answers what came of it, success or not.
func (a *Activities) Send(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, error) {
	return a.attempt(ctx, s, max(1, s.Number))
}

const (
	// permitTimeout bounds the wait for a permit, and reportTimeout what it may take to
	// tell the directory of an attempt. Both fit into what an activity gets beyond
	// the attempt's own timeout.
	permitTimeout = 5 * time.Second
	reportTimeout = 3 * time.Second
)

// attempt sends s. An attempt that has begun is not broken off by a cancelled
// context, so that what it came to is known: its own timeout bounds it.
func (a *Activities) attempt(ctx context.Context, s protocol.DeliveryTask, number int) (postdate.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return postdate.Attempt{}, err
	}
	ctx = context.WithoutCancel(ctx)
	made, target, err := a.deliver(ctx, s)
	made.Number = number
	a.report(ctx, s, target, made, err)
	return made, err
}

// report tells what an attempt came to.
func (a *Activities) report(ctx context.Context, s protocol.DeliveryTask, target postdate.Target, made postdate.Attempt, err error) {
	a.logAttempt(ctx, s, target, made, err)
	if err == nil && s.To.Endpoint != "" && protocol.Attempted(made.Outcome) {
		ctx, stop := context.WithTimeout(ctx, reportTimeout)
		defer stop()
		a.Tenants.Report(ctx, s.Message.Tenant, s.To.Endpoint, made)
	}
}

// deliver sends s to where it goes as things are now: the target that it answers.
func (a *Activities) deliver(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, postdate.Target, error) {
	looking, stop := context.WithTimeout(ctx, s.AttemptTimeout())
	defer stop()
	if s.To.Subscribers() {
		made, err := a.publish(looking, s)
		return made, postdate.Target{}, err
	}
	tenant, endpoint, known, err := a.resolve(looking, s.Message.Tenant, s.To.Endpoint)
	if err != nil {
		return postdate.Attempt{}, postdate.Target{}, fmt.Errorf("look up where %s goes: %w", s.ID(), err)
	}
	target := postdate.Target{URL: s.To.URL, Mode: postdate.Standard, Secrets: tenant.Secrets.At(a.Now())}
	switch {
	case s.To.Endpoint == "":
		made, err := a.send(ctx, s, target)
		return made, target, err
	case !known:
		return postdate.Attempt{At: a.Now(), Outcome: protocol.EndpointDeleted}, target, nil
	case endpoint.State != postdate.Enabled && !s.Test:
		return postdate.Attempt{At: a.Now(), Outcome: protocol.NotEnabled, Error: disabledReason(endpoint)}, target, nil
	}
	permit, err := a.acquire(ctx, s.Message.Tenant, endpoint, throttle.PermitRequest{
		Dequeued: s.Dequeued || s.Test, Since: s.DueAt, MaxWait: maxWait(s),
	})
	switch {
	case errors.Is(err, throttle.ErrNoPermit) && s.Test: // it asks how the receiver is now
		permit = throttle.Unlimited
	case errors.Is(err, throttle.ErrNoPermit):
		return noPermit(a.Now()), target, nil
	case err != nil:
		return postdate.Attempt{}, target, fmt.Errorf("acquire a permit for %s: %w", s.ID(), err)
	}
	return a.sendWithPermit(ctx, permit, s, endpoint)
}

// noPermit says that no attempt was made, since no permit came.
func noPermit(now time.Time) postdate.Attempt {
	return postdate.Attempt{At: now, Outcome: protocol.NoPermit, Error: "no permit comes soon"}
}

// maxWait is how long s waits for a permit in place: longer after its line was woken,
// since the others of that line were woken with it.
func maxWait(s protocol.DeliveryTask) time.Duration {
	if s.Dequeued {
		return permitTimeout
	}
	return 0 // the limiter's own
}

// sendWithPermit sends s to an endpoint, and releases the permit.
func (a *Activities) sendWithPermit(ctx context.Context, permit throttle.Permit, s protocol.DeliveryTask, e postdate.Endpoint) (made postdate.Attempt, target postdate.Target, err error) {
	defer func() { permit.Release(made) }()
	target = e.Target(a.Now())
	s.Timeout = cmp.Or(s.Timeout, e.Timeout)
	made, err = a.send(ctx, s, target)
	return made, target, err
}

// send sends s to target, within the time that an attempt may take.
func (a *Activities) send(ctx context.Context, s protocol.DeliveryTask, target postdate.Target) (postdate.Attempt, error) {
	ctx, stop := context.WithTimeout(ctx, cmp.Or(s.Timeout.Duration(), postdate.DefaultTimeout))
	defer stop()
	made, err := a.Sender.Send(ctx, s.Message, target)
	if err != nil {
		return postdate.Attempt{}, err
	}
	return made, nil
}

// resolve looks up a tenant and its endpoint, if one is meant. That there is no
// such endpoint is believed of the newest knowledge only: it may have been made
// just now, elsewhere.
func (a *Activities) resolve(ctx context.Context, name, id string) (t *postdate.Tenant, e postdate.Endpoint, known bool, err error) {
	for _, look := range []func(context.Context, string) (*postdate.Tenant, error){a.Tenants.Tenant, a.Tenants.Fresh} {
		if t, err = look(ctx, name); err != nil {
			return nil, postdate.Endpoint{}, false, err
		}
		if e, known = t.Endpoint(id); known || id == "" {
			break
		}
	}
	return t, e, known, nil
}

// disabledReason says why an endpoint is not sent to.
func disabledReason(e postdate.Endpoint) string {
	if e.Reason == "" {
		return string(e.State)
	}
	return string(e.State) + ", " + e.Reason
}

// publish makes of s, which is due, an event of the same id. That it cannot be
// one is told by the attempt; any other failure is our own.
func (a *Activities) publish(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, error) {
	began, m := a.Now(), s.Message
	subscribers, err := a.Publisher.Publish(ctx, m.Tenant, postdate.Event{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Data: m.Data, Timestamp: s.DueAt, CloudEvent: m.CloudEvent,
	}, m.TraceParent)
	made := postdate.Attempt{At: began, DurationMS: a.Now().Sub(began).Milliseconds()}
	switch code := postdate.CodeOf(err); {
	case code == postdate.Conflict || code == postdate.Invalid:
		made.Outcome, made.Error = postdate.Failed, err.Error()
	case err != nil:
		return postdate.Attempt{}, fmt.Errorf("publish %s: %w", m.ID, err)
	default:
		made.Outcome, made.Response = postdate.Accepted, fmt.Sprintf("published to %d endpoints", subscribers)
	}
	return made, nil
}

// logAttempt writes the one wide line that each attempt gets. Of the
// destination it tells the host alone: a path can be a secret.
func (a *Activities) logAttempt(ctx context.Context, s protocol.DeliveryTask, target postdate.Target, made postdate.Attempt, err error) {
	level := slog.LevelInfo
	if made.Outcome == protocol.NoPermit {
		level = slog.LevelDebug // none was made
	}
	attrs := []slog.Attr{
		slog.String("tenant", s.Message.Tenant),
		slog.String("id", s.Message.ID),
		slog.String("type", s.Message.Type),
		slog.String("entity", s.Message.Entity),
		slog.String("host", host(target.URL)),
		slog.Int("attempt", made.Number),
		slog.String("outcome", string(made.Outcome)),
		slog.Int("status", made.Status),
		slog.Int64("duration_ms", made.DurationMS),
	}
	if s.To.Endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", s.To.Endpoint))
	}
	if s.ID() != s.Message.ID {
		attrs = append(attrs, slog.String("delivery", s.ID()))
	}
	if made.Number == 1 && !made.At.IsZero() {
		attrs = append(attrs, slog.Int64("late_ms", made.At.Sub(s.DueAt).Milliseconds()))
	}
	if protocol.Attempted(made.Outcome) && made.Outcome != postdate.Accepted && made.Outcome != postdate.Rescheduled {
		level = slog.LevelWarn
	}
	if made.Error != "" {
		attrs = append(attrs, slog.String("error", made.Error))
	}
	if err != nil {
		level = slog.LevelError
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	a.Log.LogAttrs(ctx, level, "attempt", attrs...)
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
