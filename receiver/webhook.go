package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/postdate/postdate/signature"
)

// The headers by which an answer says more than its status does.
const (
	headerReschedule = "Postdate-Reschedule"
	headerDelivery   = "Webhook-Delivery"
)

// The names under which Svix, and those who send through it, send the headers of
// Standard Webhooks.
const (
	svixID        = "svix-id"
	svixTimestamp = "svix-timestamp"
	svixSignature = "svix-signature"
)

// ServeHTTP receives a webhook: it reads and verifies the request, handles the
// message once, and answers by what the function returned.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := r.read(w, request)
	if err == nil {
		err = r.verify(request.Header, body)
	}
	if err != nil {
		r.refuse(w, request, err)
		return
	}
	m := ParseMessage(request.Header, body)
	verified := standardHeaders(request.Header)
	m.ID = verified.Get(signature.HeaderID)
	if seconds, err := strconv.ParseInt(verified.Get(signature.HeaderTimestamp), 10, 64); err == nil {
		m.SentAt = time.Unix(seconds, 0).UTC()
	}
	// A sender that hangs up ends the request's context, and must not undo the work.
	working := context.WithoutCancel(request.Context())
	answer(w, r.handle(request.Context(), working, m))
}

// refusal is the answer to a request that is not a message.
type refusal struct {
	status int
	reason error
}

func (e *refusal) Error() string { return e.reason.Error() }
func (e *refusal) Unwrap() error { return e.reason }

func (r *Receiver) read(w http.ResponseWriter, request *http.Request) ([]byte, error) {
	tooLarge := &refusal{http.StatusRequestEntityTooLarge, fmt.Errorf("the body is larger than %d bytes", r.config.MaxBody)}
	switch {
	case request.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return nil, &refusal{http.StatusMethodNotAllowed, fmt.Errorf("webhooks are sent by POST, not by %s", request.Method)}
	case len(r.config.Secrets) == 0:
		return nil, &refusal{http.StatusInternalServerError, errors.New("there is no secret to verify webhooks with: set Config.Secrets")}
	case request.ContentLength > r.config.MaxBody:
		return nil, tooLarge
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, r.config.MaxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	}
	if err != nil {
		return nil, &refusal{http.StatusBadRequest, fmt.Errorf("read the body: %w", err)}
	}
	if len(body) == 0 && request.ContentLength > 0 {
		return nil, &refusal{http.StatusInternalServerError, errors.New("the body had been read before the receiver got the request: remove what reads it")}
	}
	return body, nil
}

func (r *Receiver) verify(header http.Header, body []byte) error {
	err := signature.Verify(standardHeaders(header), body, r.now(), r.config.Tolerance, r.config.Secrets...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, signature.ErrMissingHeader), errors.Is(err, signature.ErrMalformed):
		return &refusal{http.StatusBadRequest, err}
	default:
		return &refusal{http.StatusUnauthorized, err}
	}
}

// standardHeaders is header, or, where it is signed by Svix's names alone, those
// headers under the standard names. The two sets are never mixed.
func standardHeaders(header http.Header) http.Header {
	if len(header.Values(signature.HeaderSignature)) > 0 || len(header.Values(svixSignature)) == 0 {
		return header
	}
	standard := http.Header{}
	for name, svix := range map[string]string{
		signature.HeaderID: svixID, signature.HeaderTimestamp: svixTimestamp, signature.HeaderSignature: svixSignature,
	} {
		standard[http.CanonicalHeaderKey(name)] = header.Values(svix)
	}
	return standard
}

func (r *Receiver) refuse(w http.ResponseWriter, request *http.Request, err error) {
	status := http.StatusInternalServerError
	if refused, ok := errors.AsType[*refusal](err); ok {
		status = refused.status
	}
	level := slog.LevelWarn
	if status == http.StatusInternalServerError {
		level = slog.LevelError
	}
	r.config.Logger.LogAttrs(request.Context(), level, "webhook refused",
		slog.Int("status", status), slog.String("remote", request.RemoteAddr), slog.Any("error", err))
	respond(w, status, err.Error())
}

// answer writes what the sender is to do. It does not write why the function
// failed: the error may hold what the sender must not know.
func answer(w http.ResponseWriter, result Result) {
	switch result.Outcome {
	case Accepted, Rescheduled:
		text := "handled"
		if result.Duplicate {
			text = "handled before, by an earlier copy"
		}
		if result.Outcome == Rescheduled {
			w.Header().Set(headerReschedule, result.RescheduleTo.Format(time.RFC3339))
			text += "; to be sent again"
		}
		respond(w, http.StatusOK, text)
	case Aborted:
		w.Header().Set(headerDelivery, "abort")
		respond(w, http.StatusUnprocessableEntity, "aborted: "+abortReason(result.Err))
	default:
		status := http.StatusInternalServerError
		if result.RetryAfter > 0 {
			status = http.StatusServiceUnavailable
			seconds := (result.RetryAfter + time.Second - 1) / time.Second
			w.Header().Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
		}
		respond(w, status, "not handled; the receiver's log says why")
	}
}

// abortReason is what the function gave to [Abort], without what wraps it.
func abortReason(err error) string {
	if reason, ok := errors.AsType[abortError](err); ok {
		return string(reason)
	}
	return err.Error()
}

// respond answers in plain text.
func respond(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n") //nolint:gosec // plain text, whatever it holds; and a sender that is gone sends again
}
