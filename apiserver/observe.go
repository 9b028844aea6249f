package apiserver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"regexp"
	"runtime/debug"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/otel/propagation"
)

// readTimeout bounds requests that only read, so that they do not wait for a Temporal that
// does not answer. Requests that write set their own bound.
const readTimeout = 10 * time.Second

// traceContext is how a request says which trace it belongs to.
var traceContext = propagation.TraceContext{}

// traceParent is the trace that the request of ctx belongs to, for the message it sends.
func traceParent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	traceContext.Inject(ctx, carrier)
	return carrier.Get("traceparent")
}

// isUntraced reports whether a probe or a page is requested, which are not traced.
func isUntraced(c echo.Context) bool { return !strings.HasPrefix(c.Path(), "/v1/") }

// saneID is what is taken for a request id from a caller: it goes into headers and logs.
var saneID = regexp.MustCompile(`^[A-Za-z0-9._:/+=@-]{1,128}$`)

// requestID is the id of c's request.
func requestID(c echo.Context) string { return c.Response().Header().Get(echo.HeaderXRequestID) }

// panicked is the error that a panic in a handler becomes.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("panic: %v\n%s", p.value, p.stack) }

// observe gives each request an id, a time limit, and one line in the log.
func (s *server) observe(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		began := time.Now()
		id := c.Request().Header.Get(echo.HeaderXRequestID)
		if !saneID.MatchString(id) {
			id = timedID()
		}
		header := c.Response().Header()
		header.Set(echo.HeaderXRequestID, id)
		header.Set(echo.HeaderXContentTypeOptions, "nosniff")
		if !isUntraced(c) {
			header.Set(echo.HeaderCacheControl, "no-store")
		}
		if method := c.Request().Method; method == http.MethodGet || method == http.MethodHead {
			ctx, stop := context.WithTimeout(c.Request().Context(), readTimeout)
			defer stop()
			c.SetRequest(c.Request().WithContext(ctx))
		}
		err := recovering(next, c)
		if err != nil {
			c.Error(err)
		}
		s.logRequest(c, time.Since(began), err)
		if _, broken := errors.AsType[*brokenOffError](err); broken {
			panic(http.ErrAbortHandler) // nobody takes the answer for a whole one
		}
		return nil
	}
}

// recovering calls next and makes a panic of it an error.
func recovering(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		switch value := recover(); value {
		case nil:
		case http.ErrAbortHandler:
			panic(value) // the server's own way to break off an answer
		default:
			err = &panicked{value: value, stack: debug.Stack()}
		}
	}()
	return next(c)
}

// logRequest writes the one line of a request. It names the route, not the
// path, and no body: what is said there is the tenant's.
func (s *server) logRequest(c echo.Context, took time.Duration, err error) {
	r, status := c.Request(), c.Response().Status
	level := slog.LevelInfo
	source, _ := c.Get(inboundKey).(string)
	switch {
	case source != "" && status < http.StatusBadRequest:
	case source != "" && status == http.StatusInternalServerError:
		level = slog.LevelError
	case isUntraced(c): // what a source rejects is anybody's, and is counted: see rejections
		level = slog.LevelDebug
	case status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	attrs := []slog.Attr{
		slog.String("method", r.Method),
		slog.String("route", c.Path()),
		slog.Int("status", status),
		slog.Duration("took", took),
		slog.String("request_id", requestID(c)),
	}
	who := callerOf(r.Context())
	if who.tenant != "" {
		attrs = append(attrs, slog.String("tenant", who.tenant))
	}
	if who.key != "" {
		attrs = append(attrs, slog.String("key", who.key))
	}
	if source != "" {
		attrs = append(attrs, slog.String("source", source))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
}
