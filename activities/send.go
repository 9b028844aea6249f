package activities

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"time"

	"github.com/postdate/postdate"
)

// Shipment is a message on its way: all that an attempt needs.
type Shipment struct {
	// DeliveryID names the delivery: of a schedule it is the message's id. It is
	// empty in what was started before deliveries had ids of their own.
	DeliveryID string               `json:"delivery_id,omitempty"`
	Message    postdate.Message     `json:"message"`
	To         postdate.Destination `json:"to"`
	DueAt      time.Time            `json:"due_at"`
	// Timeout bounds each attempt. 0: as the endpoint has it.
	Timeout postdate.Duration `json:"timeout"`
	// Test has it sent to an endpoint that is not enabled, too.
	Test bool `json:"test,omitempty"`
	// Called: it has waited in line for its turn, which has come.
	Called bool `json:"called,omitempty"`
	// Number is which attempt the next one is. 0: the first.
	Number int `json:"number,omitempty"`
}

// ID is the delivery's id.
func (s Shipment) ID() string { return cmp.Or(s.DeliveryID, s.Message.ID) }

// Bound is the longest that an attempt at s may take.
func (s Shipment) Bound() time.Duration { return cmp.Or(s.Timeout.Std(), postdate.MaxTimeout) }

// Send makes one attempt and answers what came of it, success or not.
func (a *Activities) Send(ctx context.Context, s Shipment) (postdate.Attempt, error) {
	return a.attempt(ctx, s, max(1, s.Number))
}

const (
	// turnTimeout bounds the wait for a turn, and reportTimeout what it may take to
	// tell the directory of an attempt. Both fit into what an activity gets beyond
	// the attempt's own timeout.
	turnTimeout   = 5 * time.Second
	reportTimeout = 3 * time.Second
)

// attempt sends s. An attempt that has begun is not broken off by a cancelled
// context, so that what it came to is known: its own timeout bounds it.
func (a *Activities) attempt(ctx context.Context, s Shipment, number int) (postdate.Attempt, error) {
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
func (a *Activities) report(ctx context.Context, s Shipment, target postdate.Target, made postdate.Attempt, err error) {
	a.logAttempt(ctx, s, target, made, err)
	if err == nil && s.To.Endpoint != "" && made.Outcome.Made() {
		ctx, stop := context.WithTimeout(ctx, reportTimeout)
		defer stop()
		a.Directory.Report(ctx, s.Message.Tenant, s.To.Endpoint, made)
	}
}

// deliver sends s to where it goes as things are now: the target that it answers.
func (a *Activities) deliver(ctx context.Context, s Shipment) (postdate.Attempt, postdate.Target, error) {
	looking, stop := context.WithTimeout(ctx, s.Bound())
	defer stop()
	if s.To.Subscribers() {
		made, err := a.publish(looking, s)
		return made, postdate.Target{}, err
	}
	tenant, endpoint, known, err := a.whereTo(looking, s.Message.Tenant, s.To.Endpoint)
	if err != nil {
		return postdate.Attempt{}, postdate.Target{}, fmt.Errorf("look up where %s goes: %w", s.ID(), err)
	}
	target := postdate.Target{URL: s.To.URL, Mode: postdate.Standard, Secrets: tenant.Secrets.At(a.Now())}
	switch {
	case s.To.Endpoint == "":
		made, err := a.send(ctx, s, target)
		return made, target, err
	case !known:
		return postdate.Attempt{At: a.Now(), Outcome: postdate.Deleted}, target, nil
	case endpoint.State != postdate.Enabled && !s.Test:
		return postdate.Attempt{At: a.Now(), Outcome: postdate.Held, Error: standing(endpoint)}, target, nil
	}
	turn, err := a.take(ctx, s.Message.Tenant, endpoint, Claim{Called: s.Called || s.Test, Since: s.DueAt, Patience: s.patience()})
	switch {
	case err != nil:
		return postdate.Attempt{}, target, fmt.Errorf("ask whether it is the turn of %s: %w", s.ID(), err)
	case turn == nil && s.Test: // it asks how the receiver is now
		turn = always{}
	case turn == nil:
		return noTurn(a.Now()), target, nil
	}
	return a.sendInTurn(ctx, turn, s, endpoint)
}

// noTurn says that no attempt was made, for no turn came.
func noTurn(now time.Time) postdate.Attempt {
	return postdate.Attempt{At: now, Outcome: postdate.Queued, Error: "no turn comes soon"}
}

// patience is how long s waits for a turn in place: longer where it was called,
// for others were called with it.
func (s Shipment) patience() time.Duration {
	if s.Called {
		return turnTimeout
	}
	return 0 // the pacer's own
}

// sendInTurn sends s to an endpoint, and ends the turn.
func (a *Activities) sendInTurn(ctx context.Context, turn Turn, s Shipment, e postdate.Endpoint) (made postdate.Attempt, target postdate.Target, err error) {
	defer func() { turn.Done(made) }()
	target = e.Target(a.Now())
	s.Timeout = cmp.Or(s.Timeout, e.Timeout)
	made, err = a.send(ctx, s, target)
	return made, target, err
}

// send sends s to target, within the time that an attempt may take.
func (a *Activities) send(ctx context.Context, s Shipment, target postdate.Target) (postdate.Attempt, error) {
	ctx, stop := context.WithTimeout(ctx, cmp.Or(s.Timeout.Std(), postdate.DefaultTimeout))
	defer stop()
	made, err := a.Sender.Send(ctx, s.Message, target)
	if err != nil {
		return postdate.Attempt{}, err
	}
	return made, nil
}

// whereTo looks up a tenant and its endpoint, if one is meant. That there is no
// such endpoint is believed of the newest knowledge only: it may have been made
// just now, elsewhere.
func (a *Activities) whereTo(ctx context.Context, name, id string) (t *postdate.Tenant, e postdate.Endpoint, known bool, err error) {
	for _, look := range []func(context.Context, string) (*postdate.Tenant, error){a.Directory.Tenant, a.Directory.Fresh} {
		if t, err = look(ctx, name); err != nil {
			return nil, postdate.Endpoint{}, false, err
		}
		if e, known = t.Endpoint(id); known || id == "" {
			break
		}
	}
	return t, e, known, nil
}

// standing says why an endpoint is not sent to.
func standing(e postdate.Endpoint) string {
	if e.Reason == "" {
		return string(e.State)
	}
	return string(e.State) + ", " + e.Reason
}

// publish makes of s, which is due, an event of the same id. That it cannot be
// one is told by the attempt; any other failure is our own.
func (a *Activities) publish(ctx context.Context, s Shipment) (postdate.Attempt, error) {
	began, m := a.Now(), s.Message
	subscribers, err := a.Engine.Publish(ctx, m.Tenant, postdate.Event{
		ID: m.ID, Type: m.Type, Entity: m.Entity, Data: m.Data, Timestamp: &s.DueAt, CloudEvent: m.CloudEvent,
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
func (a *Activities) logAttempt(ctx context.Context, s Shipment, target postdate.Target, made postdate.Attempt, err error) {
	level := slog.LevelInfo
	if made.Outcome == postdate.Queued {
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
	if made.Outcome.Made() && made.Outcome != postdate.Accepted && made.Outcome != postdate.Rescheduled {
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
