package webhook

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/postdate/postdate"
)

// startSpan begins the span of an attempt and names it to the receiver, by the
// W3C header traceparent. The attempt belongs to the trace of the request that
// sent the message; whatever span ctx holds of another trace is linked.
//
// Without a tracer to make spans the receiver still gets an id for each attempt.
func (s *Sender) startSpan(ctx context.Context, m postdate.Message, request *http.Request) trace.Span {
	own := trace.SpanContextFromContext(ctx)
	options := []trace.SpanStartOption{trace.WithSpanKind(trace.SpanKindClient)}
	if origin := extract(ctx, m.TraceParent); trace.SpanContextFromContext(origin).TraceID() != own.TraceID() {
		ctx = origin
		if own.IsValid() {
			options = append(options, trace.WithLinks(trace.Link{SpanContext: own}))
		}
	}
	parent := trace.SpanContextFromContext(ctx)
	ctx, span := s.tracer.Start(ctx, http.MethodPost, options...)

	if named := span.SpanContext(); named.IsValid() && named.SpanID() == parent.SpanID() {
		ctx = trace.ContextWithSpanContext(ctx, named.WithSpanID(newSpanID()))
	}
	propagation.TraceContext{}.Inject(ctx, propagation.HeaderCarrier(request.Header))

	if span.IsRecording() {
		span.SetAttributes(
			attribute.String("http.request.method", http.MethodPost),
			attribute.String("server.address", request.URL.Hostname()), // no more of the url: a path can be a secret
			attribute.String("postdate.message.id", m.ID),
		)
	}
	return span
}

// extract is ctx with the span that a traceparent header names, if it names one.
func extract(ctx context.Context, traceParent string) context.Context {
	if traceParent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceParent})
}

func newSpanID() trace.SpanID {
	var id trace.SpanID
	binary.BigEndian.PutUint64(id[:], rand.Uint64N(1<<64-1)+1) // zero would not be valid
	return id
}

// describe says on span what came of the attempt.
func describe(span trace.Span, a postdate.Attempt) {
	if !span.IsRecording() {
		return
	}
	span.SetAttributes(attribute.String("postdate.outcome", string(a.Outcome)))
	if a.Status != 0 {
		span.SetAttributes(attribute.Int("http.response.status_code", a.Status))
	}
	if a.Outcome != postdate.Accepted && a.Outcome != postdate.Rescheduled {
		span.SetStatus(codes.Error, a.Error)
	}
}
