package streams

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/postdate/postdate"
)

// Broker publishes to one stream. It is safe for concurrent use, connects by itself, and
// connects again by itself when a connection is lost.
type Broker interface {
	// Publish publishes r, and returns where the broker says that it has stored it: nil
	// stands for the broker's own word and nothing less. The error says in words why there is
	// none; see [PublishError].
	Publish(ctx context.Context, r Record) (stored string, err error)
	// Probe asks the broker for the stream, and creates nothing.
	Probe(ctx context.Context) error
	// Close closes the connections.
	Close()
}

// PublishError is a failure to publish that says more than its text.
type PublishError struct {
	Reason string
	// Never: no further attempt can succeed.
	Never bool
	// Busy: the broker asked for less.
	Busy bool
}

func (f *PublishError) Error() string { return f.Reason }

// Sender makes attempts at one stream.
type Sender struct {
	broker Broker
	kind   postdate.StreamKind
	tracer trace.Tracer
	now    func() time.Time
}

// NewSender makes a sender that publishes by broker.
func NewSender(kind postdate.StreamKind, broker Broker) *Sender {
	return &Sender{
		broker: broker, kind: kind, now: time.Now,
		tracer: otel.Tracer("github.com/postdate/postdate/internal/streams"),
	}
}

// Send makes one attempt to publish m, until the deadline of ctx at the latest, or
// [postdate.MaxTimeout] where it has none. All that concerns the broker is recorded in the
// attempt; the error is for our own faults, and for ctx cancelled before the broker's word
// came. An attempt without the broker's word is a failed one: whether the broker has stored
// the message is not known then, and it is published again under the same id.
func (s *Sender) Send(ctx context.Context, m postdate.Message, to postdate.Target) (postdate.Attempt, error) {
	if err := ctx.Err(); err != nil {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, err)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, postdate.MaxTimeout)
		defer cancel()
	}
	begun := s.now()
	limit := timeLeft(ctx, begun)
	ctx, span := s.startSpan(ctx, m, to)
	defer span.End()
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	stored, err := s.broker.Publish(ctx, newRecord(m, to, carrier[headerTraceParent]))
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return postdate.Attempt{}, fmt.Errorf("send %s: %w", m.ID, ctx.Err())
	}
	attempt := attemptOf(stored, err, limit)
	attempt.At = begun.UTC().Round(0)
	attempt.DurationMS = s.now().Sub(begun).Milliseconds()
	if attempt.Outcome != postdate.Accepted {
		span.SetStatus(codes.Error, attempt.Error)
	}
	span.SetAttributes(attribute.String("postdate.outcome", string(attempt.Outcome)))
	return attempt, nil
}

// attemptOf is what publishing came to.
func attemptOf(stored string, err error, limit time.Duration) postdate.Attempt {
	failure, known := errors.AsType[*PublishError](err)
	switch {
	case err == nil:
		return postdate.Attempt{Outcome: postdate.Accepted, Response: stored}
	case known && failure.Never:
		return postdate.Attempt{Outcome: postdate.Refused, Error: failure.Reason}
	case known:
		return postdate.Attempt{Outcome: postdate.Failed, Error: failure.Reason, Busy: failure.Busy}
	case errors.Is(err, context.DeadlineExceeded):
		return postdate.Attempt{
			Outcome: postdate.Failed,
			Error:   fmt.Sprintf("no word of the broker within %s: whether it has stored the message is not known", limit),
		}
	}
	return postdate.Attempt{Outcome: postdate.Failed, Error: err.Error()}
}

// timeLeft is how long an attempt that begins now may take, rounded for people.
func timeLeft(ctx context.Context, now time.Time) time.Duration {
	deadline, _ := ctx.Deadline()
	left := deadline.Sub(now)
	if left > time.Second {
		return left.Round(100 * time.Millisecond)
	}
	return left.Round(time.Millisecond)
}

// startSpan begins the span of an attempt, in the trace of the request that sent the
// message. Without a tracer the record still gets an id for each attempt.
func (s *Sender) startSpan(ctx context.Context, m postdate.Message, to postdate.Target) (context.Context, trace.Span) {
	if m.TraceParent != "" {
		ctx = propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{headerTraceParent: m.TraceParent})
	}
	parent := trace.SpanContextFromContext(ctx)
	ctx, span := s.tracer.Start(ctx, "publish", trace.WithSpanKind(trace.SpanKindProducer), trace.WithAttributes(
		attribute.String("messaging.system", string(s.kind)),
		attribute.String("postdate.stream", to.Stream),
		attribute.String("postdate.message.id", m.ID),
	))
	if named := span.SpanContext(); named.IsValid() && named.SpanID() == parent.SpanID() {
		var id trace.SpanID
		binary.BigEndian.PutUint64(id[:], rand.Uint64N(1<<64-1)+1) // zero would not be valid
		ctx = trace.ContextWithSpanContext(ctx, named.WithSpanID(id))
	}
	return ctx, span
}
