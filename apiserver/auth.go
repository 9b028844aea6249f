package apiserver

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// tenantHeader names the tenant that a request acts for.
const tenantHeader = "Postdate-Tenant"

// caller is who makes a request.
type caller struct {
	// tenant is the tenant that it acts for.
	tenant string
	// key is the id of the tenant's key that was shown: empty of the operator's.
	key   string
	scope postdate.Scope
	// endpoint is the one that a key of scope pull is for.
	endpoint string
}

type callerKey struct{}

// callerOf is the caller of the request that ctx belongs to.
func callerOf(ctx context.Context) caller {
	who, _ := ctx.Value(callerKey{}).(caller)
	return who
}

// tenantOf is whose data the request is about that ctx belongs to.
func tenantOf(ctx context.Context) string { return callerOf(ctx).tenant }

func hash(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// errUnknownKey is the same whatever is wrong with a key: never created, revoked,
// expired, or of a tenant that does not exist.
var errUnknownKey = postdate.Errorf(postdate.Unauthorized, "", "this key is not known")

// authenticate requires a key, except for operations that the specification says need
// none. A path that does not exist requires one too; which methods a path has is no
// secret.
func (s *server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if op, ok := s.operation(c); (ok && op.public) || isAsset(c) || isInbound(c) || isWrongMethod(c) {
			return next(c)
		}
		r := c.Request()
		who, err := s.identify(r)
		if err != nil {
			return err
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), callerKey{}, who)))
		return next(c)
	}
}

// isWrongMethod reports whether the path exists, but not with the request's method: the
// answer lists the methods that it has.
func isWrongMethod(c echo.Context) bool { return c.Get(echo.ContextKeyHeaderAllow) != nil }

// identify is who shows a key, and for whom.
func (s *server) identify(r *http.Request) (caller, error) {
	scheme, key, _ := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return caller{}, postdate.Errorf(postdate.Unauthorized, "", "a key is needed, in a header: Authorization: Bearer and the key")
	}
	key, named := strings.TrimSpace(key), r.Header.Get(tenantHeader)
	if values := r.Header.Values(tenantHeader); len(values) > 1 || len(values) == 1 && named == "" {
		return caller{}, postdate.Errorf(postdate.Invalid, "/"+tenantHeader, "must name one tenant: leave it out to act for that of the key")
	}
	if s.isOperator(key) {
		tenant := cmp.Or(named, postdate.DefaultTenant)
		if err := postdate.ValidateTenant(tenant); err != nil {
			return caller{}, postdate.Errorf(postdate.Invalid, "/"+tenantHeader, "%s", err)
		}
		return caller{tenant: tenant, scope: postdate.Admin}, nil
	}
	who, err := s.keyOwner(r.Context(), sourceOf(r.RemoteAddr), key)
	if err == nil && named != "" && named != who.tenant {
		err = postdate.Errorf(postdate.Forbidden, "", "this key is another tenant's than the one that %s names", tenantHeader)
	}
	return who, err
}

// isOperator reports whether a key is one of the operator's. Hashes are compared: they say
// nothing of the key's length either.
func (s *server) isOperator(key string) bool {
	given, equal := hash(key), 0
	for _, known := range s.keyHashes {
		equal |= subtle.ConstantTimeCompare(given[:], known[:])
	}
	return equal == 1
}

// authorize lets a key pass only to what its scope includes.
func (s *server) authorize(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		who := callerOf(c.Request().Context())
		if op, ok := s.operation(c); ok && !op.public && !who.scope.Includes(op.scope) {
			return postdate.Errorf(postdate.Forbidden, "", "this key's scope is %q: %q is needed", who.scope, op.scope)
		} else if ok && !op.public && !who.reaches(c) {
			return postdate.Errorf(postdate.Forbidden, "", "this key is for another endpoint")
		}
		return next(c)
	}
}
