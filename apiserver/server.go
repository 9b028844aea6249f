// Package apiserver answers Postdate's HTTP API. The API is its specification,
// openapi.yaml: requests are held to it, handlers translate between the types
// generated from it and the nouns, and what it does not name does not exist.
package apiserver

import (
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/postdate/postdate/internal/ingest"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"go.opentelemetry.io/otel/metric"

	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/internal/quotas"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/streams"
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
	// Pulls leases messages to consumers.
	Pulls *pull.Store
	// Namespace is Temporal's, for links to its Web UI.
	Namespace string
	// UIURL is where the engine's Web UI is found by people, for links to it.
	// Without it no answer carries a link.
	UIURL string

	// AdminKeys are the operator's keys, of which each opens: two while one is rotated.
	// There must be one.
	AdminKeys []string
	// RateLimit is how many requests a second each key of a tenant may make by
	// this process: twice as many at once. 0: as many as it likes.
	RateLimit int
	// TenantRateLimit is the same for all keys of a tenant together.
	TenantRateLimit int
	// TenantRequests is how many requests a tenant may have under way in this process, with
	// its own keys. 0: as many as it likes.
	TenantRequests int
	// Quotas bound what a tenant keeps. RequestDeliveries is how many deliveries one request
	// may make, and Reschedules after how many attempts a receiver no longer puts a message
	// off by less than an hour: both hold elsewhere, and are shown here. 0: no bound.
	Quotas                         *quotas.Store
	RequestDeliveries, Reschedules int

	// AllowHTTP allows destinations of plain http.
	AllowHTTP bool
	// CheckURL refuses destinations which could never be sent to, where it is
	// not nil. Its error is shown to the caller. It cannot know what a name resolves to:
	// that is checked when it is dialled.
	CheckURL func(tenant string, u *url.URL) error

	// Streams are what tenants may send to by name. Nil: there are none.
	Streams *streams.Streams
	// Consumed lists the streams from which messages of a tenant come: of all tenants where
	// it is empty. Nil: there are none.
	Consumed func(tenant string) []ConsumptionStatus
	// Meter measures what comes to sources. Nothing is measured where it is nil.
	Meter metric.Meter
	// Metrics answers /metrics, where it is not nil.
	Metrics http.Handler
	// Log takes a line for each request: slog's default where it is nil.
	Log *slog.Logger
	// Stopping is closed when the process is told to stop: an import that is under way then
	// reads no further. Nil: it never is.
	Stopping <-chan struct{}
	// Now is the clock by which due times are judged: the real one where it is nil.
	Now func() time.Time
	// Version is this program's.
	Version string
}

// server implements the operations of the specification.
type server struct {
	Config
	operations map[route]*operation
	keyHashes  [][32]byte
	limits     *limits
	guesses    *guesses
	imports    *imports
	// scheduleSchema is the form of a schedule in a batch or an import.
	scheduleSchema *openapi3.Schema

	tenantLimits *limits
	underWay     *underWay
	validating   *validating

	// Of requests to sources, whose senders have no key.
	sourceLimits *limits
	tokenGuesses *guesses
	rejections   *rejections
	bodies       *bodies
	// inboundRequests is nil where nothing is measured.
	inboundRequests metric.Int64Counter
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
		s.observe, s.authenticate, s.bound, s.limit, s.authorize, s.validate,
	)
	routes := withHead{e}
	RegisterHandlers(routes, cloudEventsServer{ServerInterface: NewStrictHandler(s, nil), server: s})
	s.registerPages(routes)
	e.Match(inboundMethods, routeInbound, s.takeInbound)
	e.Match(inboundMethods, routeInboundRest, s.takeInbound)
	return e, nil
}

// withHead registers HEAD for every GET route (RFC 9110 §9.3.2). net/http leaves out the
// body.
type withHead struct{ *echo.Echo }

// GET registers a handler for GET and for HEAD.
func (e withHead) GET(path string, h echo.HandlerFunc, m ...echo.MiddlewareFunc) *echo.Route {
	e.HEAD(path, h, m...)
	return e.Echo.GET(path, h, m...)
}

func newServer(c Config) (*server, error) {
	if c.Ingester == nil || c.Deliveries == nil || c.Recurrences == nil || c.Tenants == nil || c.Quotas == nil || c.Pulls == nil || len(c.AdminKeys) == 0 || slices.Contains(c.AdminKeys, "") {
		return nil, errors.New("the API needs Ingester, Deliveries, Recurrences, Tenants, Quotas, Pulls and AdminKeys")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Streams == nil {
		c.Streams = &streams.Streams{}
	}
	c.UIURL = strings.TrimRight(c.UIURL, "/")
	operations, err := loadOperations()
	if err != nil {
		return nil, err
	}
	s := &server{
		Config: c, operations: operations, limits: newLimits(c.RateLimit), guesses: newGuesses(), imports: newImports(),
		tenantLimits: newLimits(c.TenantRateLimit), underWay: newUnderWay(c.TenantRequests),
		validating:   newValidating(),
		sourceLimits: newLimits(c.TenantRateLimit), tokenGuesses: newGuesses(), rejections: newRejections(c.Log, c.Now()), bodies: newBodies(),
	}
	s.scheduleSchema = operations[route{http.MethodPost, pathSchedules}].schema(echo.MIMEApplicationJSON)
	if err := s.measureInbound(); err != nil {
		return nil, err
	}
	for _, key := range c.AdminKeys {
		s.keyHashes = append(s.keyHashes, hash(key))
	}
	return s, nil
}
