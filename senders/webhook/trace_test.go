package webhook

import (
	"testing"

	"github.com/stretchr/testify/require"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/postdate/postdate"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	parent  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

func TestSend_GivesEachAttemptItsOwnPlaceInTheTrace(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 2)
	to := serve(t, record(arrived))
	m := message
	m.TraceParent = parent
	s := open()
	for range 2 {
		_, err := s.Send(t.Context(), m, to)
		require.NoError(t, err)
	}
	first, second := (<-arrived).Header.Get("Traceparent"), (<-arrived).Header.Get("Traceparent")
	require.Regexp(t, "^00-"+traceID+"-[0-9a-f]{16}-01$", first)
	require.Regexp(t, "^00-"+traceID+"-[0-9a-f]{16}-01$", second)
	require.NotEqual(t, first, second)
	require.NotEqual(t, parent, first)
	require.NotEqual(t, parent, second)
}

func TestSend_LeavesAnInvalidTraceParentOut(t *testing.T) {
	t.Parallel()
	arrived := make(chan seen, 1)
	to := serve(t, record(arrived))
	s := open()
	for _, text := range []string{
		"", "00", "garbage", "00-" + traceID + "-0000000000000000-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
		"ff-" + traceID + "-00f067aa0ba902b7-01", parent + "\r\nx-injected: 1",
	} {
		m := message
		m.TraceParent = text
		a, err := s.Send(t.Context(), m, to)
		require.NoError(t, err)
		require.Equal(t, postdate.Accepted, a.Outcome)
		require.NotContains(t, (<-arrived).Header, "Traceparent", text)
	}
}

func TestSend_RecordsASpanWhereSpansAreRecorded(t *testing.T) {
	t.Parallel()
	recorder := tracetest.NewSpanRecorder()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(recorder))
	arrived := make(chan seen, 1)
	to := serve(t, record(arrived))
	s := open()
	s.tracer = provider.Tracer("test")

	ctx, activity := provider.Tracer("test").Start(t.Context(), "activity")
	m := message
	m.TraceParent = parent
	_, err := s.Send(ctx, m, to)
	require.NoError(t, err)
	got := <-arrived

	require.Len(t, recorder.Ended(), 1)
	span := recorder.Ended()[0]
	require.Equal(t, trace.SpanKindClient, span.SpanKind())
	require.Equal(t, traceID, span.SpanContext().TraceID().String())
	require.Equal(t, "00f067aa0ba902b7", span.Parent().SpanID().String())
	require.Equal(t, "00-"+traceID+"-"+span.SpanContext().SpanID().String()+"-01", got.Header.Get("Traceparent"))
	require.Len(t, span.Links(), 1)
	require.Equal(t, activity.SpanContext().SpanID(), span.Links()[0].SpanContext.SpanID())
	for _, attribute := range span.Attributes() {
		require.NotContains(t, attribute.Value.String(), "s3cret")
	}

	_, err = s.Send(ctx, message, to)
	require.NoError(t, err)
	<-arrived
	require.Equal(t, activity.SpanContext().SpanID(), recorder.Ended()[1].Parent().SpanID(),
		"a message without a trace goes by the span that sends it")
}
