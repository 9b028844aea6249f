package apiserver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/postdate/postdate"
)

// tenantHeader says whose data a request is about.
const tenantHeader = "Postdate-Tenant"

type tenantKey struct{}

// tenantOf is whose data the request is about that ctx belongs to.
func tenantOf(ctx context.Context) string {
	tenant, _ := ctx.Value(tenantKey{}).(string)
	return tenant
}

func hash(text string) [32]byte { return sha256.Sum256([]byte(text)) }

// authenticate lets nobody pass without a key but to what the specification
// says needs none. What does not exist is no exception.
func (s *server) authenticate(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if op, ok := s.operation(c); (ok && op.public) || isAsset(c) {
			return next(c)
		}
		r := c.Request()
		scheme, key, _ := strings.Cut(r.Header.Get(echo.HeaderAuthorization), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return postdate.Errorf(postdate.Unauthorized, "", "a key is needed, in a header: Authorization: Bearer and the key")
		}
		// Hashes are compared, for they tell nothing of the key's length either.
		if given := hash(strings.TrimSpace(key)); subtle.ConstantTimeCompare(given[:], s.keyHash[:]) == 0 {
			return postdate.Errorf(postdate.Unauthorized, "", "this key is not known")
		}
		tenant := postdate.DefaultTenant
		if named := r.Header.Get(tenantHeader); named != "" {
			tenant = named
		}
		if err := postdate.ValidateTenant(tenant); err != nil {
			return postdate.Errorf(postdate.Invalid, "/"+tenantHeader, "%s", err)
		}
		c.SetRequest(r.WithContext(context.WithValue(r.Context(), tenantKey{}, tenant)))
		return next(c)
	}
}
