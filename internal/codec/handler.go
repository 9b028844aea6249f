package codec

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"

	commonpb "go.temporal.io/api/common/v1"
	"go.temporal.io/sdk/converter"
)

const (
	// Path is where the API serves [NewHandler]: the codec endpoint that the Web
	// UI and the temporal command are given is the API's URL with Path.
	Path = "/codec"
	// LoginPath is where it serves a [Login].
	LoginPath = Path + "/login"

	// maxBody bounds a request to the codec endpoint, in bytes: several of the
	// largest payloads that the engine takes (2 MB), in base64.
	maxBody = 16 << 20
)

// HandlerConfig is what the codec endpoint needs to know.
type HandlerConfig struct {
	Ring *Ring
	// UIURL is where people open the Web UI. Pages of its origin may call, those
	// of no other. Without it no page may.
	UIURL string
	// Hide takes what nobody may see out of the JSON that is shown, where it is
	// not nil.
	Hide func([]byte) []byte
	// Authorize reports whether the caller may read and write payloads of every
	// tenant. A [Login]'s Authorized is one.
	Authorize func(*http.Request) bool
}

type handler struct {
	codec     http.Handler
	origin    string
	authorize func(*http.Request) bool
}

// NewHandler answers Temporal's codec endpoint: POST …/decode, and …/encode, for
// what people send from the Web UI is encrypted too. 401 without authorization,
// 403 to pages of another origin, 413 over 16 MiB, 400 with the reason where a
// payload cannot be decrypted. The Web UI repeats what fails, but not after these.
func NewHandler(c HandlerConfig) (http.Handler, error) {
	if c.Ring == nil || c.Authorize == nil {
		return nil, errors.New("the codec endpoint needs a key ring and an authorizer")
	}
	origin, err := originOf(c.UIURL)
	if err != nil {
		return nil, err
	}
	payloads := New(c.Ring)
	if c.Hide != nil {
		payloads = hiding{payloads, c.Hide}
	}
	return &handler{codec: converter.NewPayloadCodecHTTPHandler(payloads), origin: origin, authorize: c.Authorize}, nil
}

// hiding decodes for people.
type hiding struct {
	converter.PayloadCodec

	hide func([]byte) []byte
}

// Decode decrypts payloads, and hides what nobody may see in them.
func (c hiding) Decode(payloads []*commonpb.Payload) ([]*commonpb.Payload, error) {
	decoded, err := c.PayloadCodec.Decode(payloads)
	for _, payload := range decoded {
		payload.Data = c.hide(payload.GetData())
	}
	return decoded, err
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if operation := path.Base(r.URL.Path); operation != "decode" && operation != "encode" {
		http.NotFound(w, r)
		return
	}
	if !h.allowOrigin(w, r) {
		http.Error(w, "pages of this origin may not call", http.StatusForbidden)
		return
	}
	switch {
	case r.Method == http.MethodOptions:
		preflight(w)
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", "POST, OPTIONS")
		http.Error(w, "use POST", http.StatusMethodNotAllowed)
	case !h.authorize(r):
		w.Header().Set("WWW-Authenticate", "Bearer")
		http.Error(w, "sign in at "+LoginPath+", or send Authorization: Bearer <key>", http.StatusUnauthorized)
	default:
		h.serveCodec(w, r)
	}
}

// allowOrigin tells browsers which pages may read the answers, errors included,
// and refuses all others itself. Who names no origin is no page.
func (h *handler) allowOrigin(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Add("Vary", "Origin")
	switch origin := r.Header.Get("Origin"); {
	case origin == "":
		return true
	case h.origin == "" || origin != h.origin:
		return false
	}
	w.Header().Set("Access-Control-Allow-Origin", h.origin)
	w.Header().Set("Access-Control-Allow-Credentials", "true")
	return true
}

// preflight answers what a browser asks before it calls: it comes without
// credentials. The headers are those that the Web UI sends.
func preflight(w http.ResponseWriter) {
	w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
	w.Header().Set("Access-Control-Allow-Headers", "Authorization, Authorization-Extras, Content-Type, X-Namespace")
	w.Header().Set("Access-Control-Max-Age", "600") // seconds
	w.WriteHeader(http.StatusNoContent)
}

func (h *handler) serveCodec(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge, ok := errors.AsType[*http.MaxBytesError](err); ok {
		http.Error(w, fmt.Sprintf("at most %d bytes", tooLarge.Limit), http.StatusRequestEntityTooLarge)
		return
	}
	if err != nil {
		http.Error(w, "the request broke off", http.StatusBadRequest)
		return
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	h.codec.ServeHTTP(w, r)
}

// originOf is the origin of a page's URL as browsers write it (RFC 6454, 6.1),
// or "" of "".
func originOf(pageURL string) (string, error) {
	if pageURL == "" {
		return "", nil
	}
	u, err := url.Parse(pageURL)
	if err != nil || u.Hostname() == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return "", errors.New("the Web UI's address is not an absolute http or https url")
	}
	host := strings.ToLower(u.Host)
	if port := u.Port(); (u.Scheme == "http" && port == "80") || (u.Scheme == "https" && port == "443") {
		host = strings.TrimSuffix(host, ":"+port)
	}
	return u.Scheme + "://" + host, nil
}
