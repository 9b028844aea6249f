package apiserver

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
	"go.temporal.io/api/serviceerror"
	"google.golang.org/grpc/codes"

	"github.com/postdate/postdate"
)

// The kinds of problem that only HTTP knows.
const (
	malformed            postdate.Code = "malformed"
	methodNotAllowed     postdate.Code = "method_not_allowed"
	tooLarge             postdate.Code = "too_large"
	unsupportedMediaType postdate.Code = "unsupported_media_type"
	internal             postdate.Code = "internal"
)

// Codes absent here are logged whole and answered with a bare 500.
var statusOf = map[postdate.Code]int{
	malformed:                http.StatusBadRequest,
	postdate.Unauthorized:    http.StatusUnauthorized,
	postdate.Forbidden:       http.StatusForbidden,
	postdate.NotFound:        http.StatusNotFound,
	methodNotAllowed:         http.StatusMethodNotAllowed,
	postdate.Conflict:        http.StatusConflict,
	tooLarge:                 http.StatusRequestEntityTooLarge,
	unsupportedMediaType:     http.StatusUnsupportedMediaType,
	postdate.Invalid:         http.StatusUnprocessableEntity,
	postdate.TooManyRequests: http.StatusTooManyRequests,
	postdate.QuotaPending:    http.StatusTooManyRequests,
	postdate.QuotaBytes:      http.StatusTooManyRequests,
	postdate.QuotaDeliveries: http.StatusTooManyRequests,
	postdate.QuotaRequests:   http.StatusTooManyRequests,
	postdate.QuotaRate:       http.StatusTooManyRequests,
	postdate.Unavailable:     http.StatusServiceUnavailable,
	postdate.Overloaded:      http.StatusServiceUnavailable,
}

// statusGone is what the log says of a caller that did not wait for the answer.
const statusGone = 499

// Error makes a problem an error, for those that name more than one field.
func (p Problem) Error() string { return p.Detail }

// problemOf translates err. It is the only place that does.
func problemOf(err error) Problem {
	if p, ok := errors.AsType[Problem](err); ok {
		return p
	}
	if refusal, ok := errors.AsType[*postdate.Error](err); ok && statusOf[refusal.Code] != 0 {
		p := Problem{Code: refusal.Code, Detail: refusal.Error()}
		if refusal.Pointer != "" {
			p.Errors = []FieldError{{Pointer: refusal.Pointer, Detail: refusal.Detail}}
		}
		return p
	}
	if echoed, ok := errors.AsType[*echo.HTTPError](err); ok {
		return problemOfEcho(echoed)
	}
	if isUnavailable(err) {
		return Problem{Code: postdate.Unavailable, Detail: "the engine does not answer: try again"}
	}
	return Problem{Code: internal}
}

// problemOfEcho translates what Echo, or the code generated for it, refuses.
func problemOfEcho(err *echo.HTTPError) Problem {
	switch err.Code {
	case http.StatusNotFound:
		return Problem{Code: postdate.NotFound, Detail: "there is nothing at this path: see /docs"}
	case http.StatusMethodNotAllowed:
		return Problem{Code: methodNotAllowed, Detail: "not with this method: see the header Allow"}
	case http.StatusBadRequest:
		detail, _ := err.Message.(string)
		return Problem{Code: malformed, Detail: detail}
	default:
		return Problem{Code: internal}
	}
}

// isUnavailable reports whether the engine failed to answer for a reason that may pass.
func isUnavailable(err error) bool {
	switch serviceerror.ToStatus(err).Code() {
	case codes.Unavailable, codes.DeadlineExceeded, codes.Canceled, codes.ResourceExhausted, codes.Aborted:
		return true
	default:
		return false
	}
}

// answerError answers err as the problem that it is. It logs nothing: the line
// of the request does.
func (s *server) answerError(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	// A body that does not come whole cancels the context too: whoever sends it may still wait.
	if !isInbound(c) && errors.Is(c.Request().Context().Err(), context.Canceled) {
		c.Response().WriteHeader(statusGone) // it may have closed its own direction alone, and must not read 200
		return
	}
	p := problemOf(err)
	p.Type, p.Status, p.RequestID = "about:blank", http.StatusInternalServerError, requestID(c)
	if status, ok := statusOf[p.Code]; ok {
		p.Status = status
	}
	p.Title = http.StatusText(p.Status)
	header := c.Response().Header()
	header.Set(echo.HeaderContentType, "application/problem+json")
	switch p.Status {
	case http.StatusUnauthorized:
		if header.Get(echo.HeaderWWWAuthenticate) == "" {
			header.Set(echo.HeaderWWWAuthenticate, `Bearer realm="postdate"`)
		}
	case http.StatusServiceUnavailable:
		header.Set(echo.HeaderRetryAfter, "1")
	}
	if refusal, ok := errors.AsType[*postdate.Error](err); ok && refusal.RetryAfter > 0 {
		header.Set(echo.HeaderRetryAfter, strconv.Itoa(int(math.Ceil(refusal.RetryAfter.Seconds()))))
	}
	c.Response().WriteHeader(p.Status)
	_ = c.Echo().JSONSerializer.Serialize(c, p, "") // fails only with a caller that has gone
}
