package apiserver

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/internal/inbound"
)

const (
	routeInbound     = "/in/:token"
	routeInboundRest = "/in/:token/*"
	// maxInboundURL bounds the path and the query of a request to a source.
	maxInboundURL = 8 << 10
)

// inboundMethods are those that a source may take, or answers.
var inboundMethods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions,
}

// isInbound reports whether a request is one to a source: its sender shows no key.
func isInbound(c echo.Context) bool { return c.Path() == routeInbound || c.Path() == routeInboundRest }

// inboundKey is the key of the Echo context for the source that a request is to.
const inboundKey = "postdate.source"

// taking is a request to a source, on its way.
type taking struct {
	*server
	c      echo.Context
	tenant string
	source postdate.Source
}

// takeInbound takes a request to a source: it is verified over its raw bytes, deduplicated,
// durably started, and then answered.
func (s *server) takeInbound(c echo.Context) error {
	r, from := c.Request(), sourceOf(c.Request().RemoteAddr)
	c.Response().Header().Set(echo.HeaderCacheControl, "no-store")
	tenant, source, err := s.sourceOfToken(r.Context(), from, c.Param("token"))
	if err != nil {
		return err
	}
	c.SetRequest(r.WithContext(context.WithValue(r.Context(), callerKey{}, caller{tenant: tenant})))
	c.Set(inboundKey, source.ID)
	t := &taking{server: s, c: c, tenant: tenant, source: source}
	err = t.take()
	if rejection, ok := errors.AsType[*inbound.RejectionError](err); ok {
		if source.Verify.Preset == "basic" {
			c.Response().Header().Set(echo.HeaderWWWAuthenticate, `Basic realm="postdate"`)
		}
		err = postdate.Errorf(postdate.Unauthorized, "", "%s", rejection.Detail)
		t.note(from, err, string(rejection.Reason))
	} else if err != nil && !errors.Is(err, context.Canceled) {
		t.note(from, err, string(problemOf(err).Code))
	}
	return err
}

// note notes that the request was not taken.
func (t *taking) note(from string, err error, reason string) {
	p := problemOf(err)
	status, ok := statusOf[p.Code]
	if !ok {
		status = http.StatusInternalServerError
	}
	t.count(inboundRejected, reason)
	t.rejections.add(t.c.Request().Context(), t.tenant, t.source.ID, Rejected{
		At: t.Now().UTC(), Status: status, Reason: reason, Detail: cmp.Or(p.Detail, "our own fault"), Method: t.c.Request().Method, From: from,
	})
}

func (t *taking) take() error {
	room := t.bodies.enter(sourceKey{t.tenant, t.source.ID})
	defer room.leave()
	request, err := t.read(room)
	if err != nil {
		return err
	}
	now := t.Now()
	answer, err := inbound.Handshake(t.source, request, now)
	switch {
	case err != nil:
		return err
	case answer != nil:
		return t.shake(answer)
	case !t.source.Takes(request.Method):
		t.c.Response().Header().Set(echo.HeaderAllow, t.source.Allow())
		return postdate.Errorf(methodNotAllowed, "", "not with this method: see the header Allow")
	}
	if err := inbound.Verify(t.source.Verify, request, now); err != nil {
		return err
	}
	if tokens, allowed := t.sourceLimits.take(t.tenant, now); !allowed {
		t.c.Response().Header().Set(echo.HeaderRetryAfter, t.sourceLimits.wait(tokens))
		return t.refuse(t.c.Request().Context(), t.tenant, postdate.Errorf(postdate.QuotaRate, "",
			"more than %d requests a second to all sources of this tenant together", t.sourceLimits.perSecond))
	}
	carried, err := inbound.Of(t.source, request)
	if err != nil {
		return err
	}
	id, duplicate, err := t.accept(postdate.Message{
		ID: inbound.ID(t.source, request), Tenant: t.tenant, Type: inbound.TypeOf(t.source, request), Entity: inbound.EntityOf(t.source, request),
		Data: request.Body, Inbound: carried,
	})
	if err != nil {
		return err
	}
	if duplicate {
		t.count(inboundDuplicate, "")
	} else {
		t.count(inboundAccepted, "")
	}
	return t.answer(id, duplicate)
}

// read reads the request, whole.
func (t *taking) read(room *bodyRoom) (*inbound.Request, error) {
	r := t.c.Request()
	rest := ""
	if parts := strings.SplitN(r.URL.EscapedPath(), "/", 4); len(parts) == 4 {
		rest = "/" + parts[3]
	}
	if len(rest)+len(r.URL.RawQuery) > maxInboundURL {
		return nil, postdate.Errorf(tooLarge, "", "path and query have at most %d KiB", maxInboundURL>>10)
	}
	packed, err := isPacked(t.c)
	if err != nil {
		return nil, err
	}
	body, content, err := readInbound(t.c, room, packed)
	if err != nil {
		return nil, err
	}
	return &inbound.Request{
		Method: r.Method, Header: r.Header, Path: rest, RawQuery: r.URL.RawQuery, URLs: t.urls(r, rest),
		Body: body, Content: content, Packed: packed,
	}, nil
}

// urls are the forms in which the sender may know the url of its request, unless the source
// says how it does.
func (t *taking) urls(r *http.Request, rest string) []string {
	if known := t.source.Verify.URL; known != "" {
		url := known + rest
		if r.URL.RawQuery != "" {
			url += "?" + r.URL.RawQuery
		}
		return []string{url}
	}
	return inbound.URLs(r.Host, r.RequestURI)
}

// shake answers a handshake. A secret that came with it is kept first.
func (t *taking) shake(answer *inbound.Answer) error {
	ctx := t.c.Request().Context()
	if answer.Learned != "" {
		err := t.Tenants.LearnSourceSecret(ctx, t.tenant, t.source.ID, answer.Learned)
		if postdate.CodeOf(err) == postdate.Conflict {
			return &inbound.RejectionError{Reason: inbound.BadHandshake, Detail: "another handshake was first"}
		}
		if err != nil {
			return err
		}
	}
	t.count(inboundHandshake, "")
	header := t.c.Response().Header()
	for name, values := range answer.Header {
		header[name] = slices.Clone(values)
	}
	if answer.Body == "" {
		return t.c.NoContent(answer.Status)
	}
	return t.c.Blob(answer.Status, answer.ContentType, []byte(answer.Body))
}

// answer answers what was taken.
func (t *taking) answer(id string, duplicate bool) error {
	if fixed := t.source.Answer; fixed != nil {
		if fixed.Body == "" {
			return t.c.NoContent(fixed.Status)
		}
		return t.c.Blob(fixed.Status, cmp.Or(fixed.ContentType, "text/plain; charset=utf-8"), []byte(fixed.Body))
	}
	status := http.StatusAccepted
	if duplicate {
		status = http.StatusOK
	}
	return t.c.JSON(status, Taken{ID: id, Duplicate: duplicate})
}
