// Package apiserver answers Postdate's HTTP API. The API is its specification,
// openapi.yaml: requests are held to it, handlers translate between the types
// generated from it and the nouns, and what it does not name does not exist.
package apiserver

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"go.opentelemetry.io/contrib/instrumentation/github.com/labstack/echo/otelecho"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/temporal"
)

//go:generate go run github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2 -config oapi-codegen.yaml openapi.yaml

// Config is what the API needs from outside.
type Config struct {
	// Temporal is the engine.
	Temporal client.Client
	// DataConverter is Temporal's: the default one where it is nil.
	DataConverter converter.DataConverter
	// Namespace is Temporal's: "default" where it is empty.
	Namespace string
	// UIURL is where the engine's Web UI is found by people, for links to it.
	// Without it no answer carries a link.
	UIURL string

	// AdminKey is the operator's key. It must not be empty.
	AdminKey string
	// SigningSecret is the secret by which a tenant's messages are signed.
	SigningSecret func(ctx context.Context, tenant string) (string, error)

	// AllowHTTP allows destinations of plain http.
	AllowHTTP bool
	// CheckURL refuses destinations which could never be sent to, where it is
	// not nil. Its error is told to the caller. What a name resolves to is not
	// known yet: that is for whoever dials.
	CheckURL func(*url.URL) error

	// EagerStart hands what is due at once straight to a worker in this process,
	// if one runs here on the same Temporal client.
	EagerStart bool
	// WorkerPolling tells whether any worker polls for deliveries.
	WorkerPolling func(context.Context) (bool, error)

	// Metrics answers /metrics, where it is not nil.
	Metrics http.Handler
	// Log takes a line for each request: slog's default where it is nil.
	Log *slog.Logger
	// Now is the clock by which due times are judged: the real one where it is nil.
	Now func() time.Time
	// Version is this program's.
	Version string
}

// server implements the operations of the specification.
type server struct {
	Config
	operations map[route]*operation
	failures   converter.FailureConverter
	keyHash    [32]byte
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
		otelecho.Middleware("postdate", otelecho.WithPropagators(traceContext), otelecho.WithSkipper(isAside)),
		s.observe, s.authenticate, s.validate,
	)
	RegisterHandlers(e, NewStrictHandler(s, nil))
	s.registerPages(e)
	return e, nil
}

func newServer(c Config) (*server, error) {
	if c.Temporal == nil || c.AdminKey == "" || c.SigningSecret == nil || c.WorkerPolling == nil {
		return nil, errors.New("the API needs Temporal, AdminKey, SigningSecret and WorkerPolling")
	}
	if c.DataConverter == nil {
		c.DataConverter = converter.GetDefaultDataConverter()
	}
	if c.Namespace == "" {
		c.Namespace = client.DefaultNamespace
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
		Config:     c,
		operations: operations,
		failures: temporal.NewDefaultFailureConverter(temporal.DefaultFailureConverterOptions{
			DataConverter: c.DataConverter,
		}),
		keyHash: hash(c.AdminKey),
	}, nil
}
