// Package apiserver answers Postdate's HTTP API. The API is its specification,
// openapi.yaml: requests are held to it, handlers translate between the types
// generated from it and the nouns, and what it does not name does not exist.
package apiserver

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/postdate/postdate/internal/ingest"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"golang.org/x/time/rate"

	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/tenants"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml

// Config is what the API needs from outside.
type Config struct {
	// Ingester starts deliveries and events, Deliveries reads and changes them,
	// Recurrences is recurring schedules, and Tenants knows what is configured.
	Ingester    *ingest.Ingester
	Deliveries  *deliveries.Store
	Tenants     *tenants.Store
	Recurrences *recurrences.Store
	// Namespace is Temporal's, for links to its Web UI.
	Namespace string
	// UIURL is where the engine's Web UI is found by people, for links to it.
	// Without it no answer carries a link.
	UIURL string

	// AdminKey is the operator's key. It must not be empty.
	AdminKey string
	// RateLimit is how many requests a second each key of a tenant may make by
	// this process: twice as many at once. 0: as many as it likes.
	RateLimit int

	// AllowHTTP allows destinations of plain http.
	AllowHTTP bool
	// CheckURL refuses destinations which could never be sent to, where it is
	// not nil. Its error is told to the caller. What a name resolves to is not
	// known yet: that is for whoever dials.
	CheckURL func(tenant string, u *url.URL) error

	// Metrics answers /metrics, where it is not nil.
	Metrics http.Handler
	// Log takes a line for each request: slog's default where it is nil.
	Log *slog.Logger
	// Now is the clock by which due times are judged: the real one where it is nil.
	Now func() time.Time
	// Version is this program's.
	Version string
}

const unknownTenantsPerSecond = 50

// server implements the operations of the specification.
type server struct {
	Config
	operations map[route]*operation
	keyHash    [32]byte
	limits     *limits
	// unknownTenants bounds how often keys of tenants are tried that nobody asked for
	// lately: each try asks the engine.
	unknownTenants *rate.Limiter
}

var _ StrictServerInterface = (*server)(nil)

// New answers the handler of the whole API.
func New(c Config) (http.Handler, error) {
	s, err := newServer(c)
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.HTTPErrorHandler = s.answerError
	e.Use(
		otelecho.Middleware("postdate", otelecho.WithPropagators(traceContext), otelecho.WithSkipper(isUntraced)),
		s.observe, s.authenticate, s.limit, s.authorize, s.acceptCloudEvents, s.validate,
	)
	RegisterHandlers(e, NewStrictHandler(s, nil))
	s.registerPages(e)
	return e, nil
}

func newServer(c Config) (*server, error) {
	if c.Ingester == nil || c.Deliveries == nil || c.Recurrences == nil || c.Tenants == nil || c.AdminKey == "" {
		return nil, errors.New("the API needs Ingester, Deliveries, Recurrences, Tenants and AdminKey")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.UIURL = strings.TrimRight(c.UIURL, "/")
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	return &server{
		Config:         c,
		operations:     operations,
		keyHash:        hash(c.AdminKey),
		limits:         newLimits(c.RateLimit),
		unknownTenants: rate.NewLimiter(unknownTenantsPerSecond, 2*unknownTenantsPerSecond),
	}, nil
}
