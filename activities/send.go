package activities

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"time"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/throttle"
	"github.com/postdate/postdate/protocol"
)

// Send makes one attempt and returns its result, success or not.
func (a *Activities) Send(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, error) {
	number := max(1, s.Number)
	attempts, err := a.sent.once(ctx, number, func() ([]protocol.GroupAttempt, error) {
		a.observeBurst(s.Burst)
		attempt, err := a.attempt(ctx, s, number)
		return []protocol.GroupAttempt{{Attempt: attempt}}, err
	})
	if err != nil {
		return postdate.Attempt{}, err
	}
	return attempts[0].Attempt, nil
}

// maxEarly is by how much what Temporal has woken may begin before it is to, as our clock
// has it. What begins earlier was woken by a request.
const maxEarly = time.Second

// observeBurst takes in how late an execution begins, where that shows anything.
func (a *Activities) observeBurst(start *protocol.BurstStart) {
	if start == nil || a.BurstRate == nil {
		return
	}
	if late := a.Now().Sub(start.StartsAt); late > -maxEarly {
		a.BurstRate.Observe(start.PerSecond, late)
	}
}

const (
	// permitTimeout bounds the wait for a permit, and reportTimeout the time to report an
	// attempt. Both fit into the time that an activity gets beyond the attempt's own
	// timeout.
	permitTimeout = 5 * time.Second
	reportTimeout = 3 * time.Second
)

// attempt makes an attempt at s. A cancelled context does not stop one that has begun, so
// that its outcome is known: its own timeout bounds it.
func (a *Activities) attempt(ctx context.Context, s protocol.DeliveryTask, number int) (postdate.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return postdate.Attempt{}, err
	}
	if s.Expired(a.Now()) {
		return tooLate(s, a.Now()), nil
	}
	ctx = context.WithoutCancel(ctx)
	attempt, target, err := a.deliver(ctx, s)
	attempt.Number = number
	attempt = a.spaceOut(ctx, attempt)
	a.report(ctx, s, target, attempt, err)
	return attempt, err
}

// report logs an attempt, and reports its outcome to the endpoint's tenant.
func (a *Activities) report(ctx context.Context, s protocol.DeliveryTask, target postdate.Target, attempt postdate.Attempt, err error) {
	a.logAttempt(ctx, s, target, attempt, err)
	if err == nil && s.To.Endpoint != "" && protocol.Attempted(attempt.Outcome) {
		ctx, stop := context.WithTimeout(ctx, reportTimeout)
		defer stop()
		a.Tenants.Report(ctx, s.Message.Tenant, s.To.Endpoint, attempt)
	}
}

// deliver sends s to its target as that is configured now, which it returns.
func (a *Activities) deliver(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, postdate.Target, error) {
	bounded, stop := context.WithTimeout(ctx, s.AttemptTimeout())
	defer stop()
	if s.To.Subscribers() {
		attempt, err := a.publish(bounded, s)
		return attempt, postdate.Target{}, err
	}
	tenant, endpoint, known, err := a.resolve(bounded, s.Message.Tenant, s.To.Endpoint)
	if err != nil {
		return postdate.Attempt{}, postdate.Target{}, fmt.Errorf("look up where %s goes: %w", s.ID(), err)
	}
	target := bareTarget(s.To, tenant.Secrets.At(a.Now()))
	switch {
	case s.To.Endpoint == "":
		attempt, err := a.sendToURL(ctx, s, target)
		return attempt, target, err
	case !known:
		return postdate.Attempt{At: a.Now(), Outcome: protocol.EndpointDeleted}, target, nil
	case endpoint.Pull: // it waits in a line until it is pulled
		return noPermit(a.Now()), target, nil
	case endpoint.State != postdate.Enabled && !s.Test:
		return postdate.Attempt{At: a.Now(), Outcome: protocol.NotEnabled, Error: disabledReason(endpoint)}, target, nil
	}
	side := endpoint.Side(s.Message.Entity, s.Took)
	endpoint = endpoint.At(side)
	permit, err := a.acquire(ctx, s.Message.Tenant, endpoint, throttle.PermitRequest{
		Dequeued: s.Dequeued || s.Test, Since: s.DueAt, MaxWait: maxWait(s),
	})
	switch {
	case errors.Is(err, throttle.ErrNoPermit) && s.Test: // it does not wait for a permit any longer
		attempt := noPermit(a.Now())
		attempt.Error = err.Error()
		return attempt, target, nil
	case errors.Is(err, throttle.ErrNoPermit):
		attempt := noPermit(a.Now())
		attempt.Canary = side
		return attempt, target, nil
	case err != nil:
		return postdate.Attempt{}, target, fmt.Errorf("acquire a permit for %s: %w", s.ID(), err)
	case s.Expired(a.Now()): // while it waited for the permit
		permit.Release(postdate.Attempt{})
		return tooLate(s, a.Now()), target, nil
	}
	return a.sendWithPermit(ctx, permit, s, endpoint)
}

// bareTarget is the target of a message to a bare url or a bare stream.
func bareTarget(to postdate.Destination, secrets []postdate.Secret) postdate.Target {
	target := postdate.Target{URL: to.URL, Stream: to.Stream, Mode: postdate.Standard, Secrets: secrets}
	if to.Stream != "" {
		target.Mode = postdate.CloudEventsBinary
	}
	return target
}

// noPermit says that no attempt was made, since no permit came.
func noPermit(now time.Time) postdate.Attempt {
	return postdate.Attempt{At: now, Outcome: protocol.NoPermit, Error: "no permit comes soon"}
}

// tooLate says that no attempt was made, since s had expired.
func tooLate(s protocol.DeliveryTask, now time.Time) postdate.Attempt {
	return postdate.Attempt{
		At: now, Outcome: protocol.TooLate, Error: "at " + s.ExpiresAt.Format(time.RFC3339) + ", before the attempt began",
	}
}

// maxWait is how long s waits for a permit in place: longer after its line was woken,
// since the others of that line were woken with it.
func maxWait(s protocol.DeliveryTask) time.Duration {
	if s.Dequeued || s.Test {
		return permitTimeout
	}
	return 0 // the limiter's own
}

// sendWithPermit sends s to an endpoint, and releases the permit.
func (a *Activities) sendWithPermit(ctx context.Context, permit throttle.Permit, s protocol.DeliveryTask, e postdate.Endpoint) (attempt postdate.Attempt, target postdate.Target, err error) {
	defer func() { permit.Release(attempt) }()
	target = e.Target(a.Now())
	a.mirror(ctx, s, e)
	s.Timeout = cmp.Or(s.Timeout, e.Timeout)
	attempt, err = a.send(ctx, s, target)
	return atCanary(attempt, target.Canary), target, err
}

// send sends s to target, within the attempt's timeout.
func (a *Activities) send(ctx context.Context, s protocol.DeliveryTask, target postdate.Target) (postdate.Attempt, error) {
	ctx, stop := context.WithTimeout(ctx, cmp.Or(s.Timeout.Duration(), postdate.DefaultTimeout))
	defer stop()
	target.DeliveryID, target.ExpiresAt = s.ID(), s.ExpiresAt
	attempt, err := a.Sender.Send(ctx, s.Message, target)
	if err != nil {
		return postdate.Attempt{}, err
	}
	return attempt, nil
}

// resolve looks up a tenant and its endpoint, if one is named. An endpoint that is not
// found is looked up again in the newest configuration: it may have been created a moment
// ago.
func (a *Activities) resolve(ctx context.Context, name, id string) (t *postdate.Tenant, e postdate.Endpoint, known bool, err error) {
	for _, lookUp := range []func(context.Context, string) (*postdate.Tenant, error){a.Tenants.Tenant, a.Tenants.Fresh} {
		if t, err = lookUp(ctx, name); err != nil {
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

// publish publishes s, which is due, as an event. Where it cannot be one the attempt says
// so; any other failure is our own.
func (a *Activities) publish(ctx context.Context, s protocol.DeliveryTask) (postdate.Attempt, error) {
	began, m := a.Now(), s.Message
	subscribers, err := a.Publisher.PublishSchedule(ctx, m.Tenant, postdate.Event{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Data: m.Data, Timestamp: &s.DueAt, CloudEvent: m.CloudEvent, Tick: m.Tick,
	}, m.TraceParent)
	attempt := postdate.Attempt{At: began, DurationMS: a.Now().Sub(began).Milliseconds()}
	switch code := postdate.CodeOf(err); {
	case code == postdate.Conflict || code == postdate.Invalid:
		attempt.Outcome, attempt.Error = postdate.Failed, err.Error()
	case err != nil:
		return postdate.Attempt{}, fmt.Errorf("publish %s: %w", m.ID, err)
	default:
		attempt.Outcome, attempt.Response = postdate.Accepted, fmt.Sprintf("published to %d endpoints", subscribers)
	}
	return attempt, nil
}

// logAttempt writes the one wide line that each attempt gets. Of the destination it
// holds the host alone, since a path may be a secret.
func (a *Activities) logAttempt(ctx context.Context, s protocol.DeliveryTask, target postdate.Target, attempt postdate.Attempt, err error) {
	level := slog.LevelInfo
	if attempt.Outcome == protocol.NoPermit {
		level = slog.LevelDebug // none was made
	}
	attrs := []slog.Attr{
		slog.String("tenant", s.Message.Tenant),
		slog.String("id", s.Message.ID),
		slog.String("type", s.Message.Type),
		slog.String("entity", s.Message.Entity),
		where(target),
		slog.Int("attempt", attempt.Number),
		slog.String("outcome", string(attempt.Outcome)),
		slog.Int("status", attempt.Status),
		slog.Int64("duration_ms", attempt.DurationMS),
	}
	if s.To.Endpoint != "" {
		attrs = append(attrs, slog.String("endpoint", s.To.Endpoint))
	}
	attrs = append(attrs, canaryAttrs(target)...)
	if s.ID() != s.Message.ID {
		attrs = append(attrs, slog.String("delivery", s.ID()))
	}
	if attempt.Number == 1 && !attempt.At.IsZero() {
		attrs = append(attrs, slog.Int64("late_ms", attempt.At.Sub(s.DueAt).Milliseconds()))
	}
	if protocol.Attempted(attempt.Outcome) && attempt.Outcome != postdate.Accepted && attempt.Outcome != postdate.Rescheduled {
		level = slog.LevelWarn
	}
	if attempt.Error != "" {
		// What follows may be the receiver's words: they are the tenant's to read.
		ours, _, _ := strings.Cut(attempt.Error, ": ")
		attrs = append(attrs, slog.String("error", ours))
	}
	if err != nil {
		level = slog.LevelError
		if _, _, refused := protocol.DecodeRefusal(err); refused {
			level = slog.LevelDebug
		}
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	a.Log.LogAttrs(ctx, level, "attempt", attrs...)
}

// where is the host, or the stream, that target names.
func where(target postdate.Target) slog.Attr {
	if target.Stream != "" {
		return slog.String("stream", target.Stream)
	}
	return slog.String("host", host(target.URL))
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Host
}
