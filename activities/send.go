package activities

import (
	"context"
	"log/slog"
	"net/url"
	"time"

	"github.com/postdate/postdate"
)

// Shipment is a message on its way: all that an attempt needs.
type Shipment struct {
	Message postdate.Message     `json:"message"`
	To      postdate.Destination `json:"to"`
	DueAt   time.Time            `json:"due_at"`
	// Timeout bounds each attempt.
	Timeout postdate.Duration `json:"timeout"`
}

// Send makes one attempt and answers what came of it, success or not.
func (a *Activities) Send(ctx context.Context, s Shipment) (postdate.Attempt, error) {
	return a.attempt(ctx, s, 1)
}

// attempt sends s. An attempt that has begun is not broken off by a cancelled
// context, so that what it came to is known: its own timeout bounds it.
func (a *Activities) attempt(ctx context.Context, s Shipment, number int) (postdate.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return postdate.Attempt{}, err
	}
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), s.Timeout.Std())
	defer stop()
	made, err := a.Sender.Send(ctx, s.Message, s.To)
	made.Number = number
	a.logAttempt(ctx, s, made, err)
	return made, err
}

// logAttempt writes the one wide line that each attempt gets. Of the
// destination it tells the host alone: a path can be a secret.
func (a *Activities) logAttempt(ctx context.Context, s Shipment, made postdate.Attempt, err error) {
	level := slog.LevelInfo
	attrs := []slog.Attr{
		slog.String("tenant", s.Message.Tenant),
		slog.String("id", s.Message.ID),
		slog.String("type", s.Message.Type),
		slog.String("entity", s.Message.Entity),
		slog.String("host", host(s.To.URL)),
		slog.Int("attempt", made.Number),
		slog.String("outcome", string(made.Outcome)),
		slog.Int("status", made.Status),
		slog.Int64("duration_ms", made.DurationMS),
	}
	if made.Number == 1 && !made.At.IsZero() {
		attrs = append(attrs, slog.Int64("late_ms", made.At.Sub(s.DueAt).Milliseconds()))
	}
	if made.Outcome != postdate.Accepted && made.Outcome != postdate.Rescheduled {
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
