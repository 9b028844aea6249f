package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/labstack/echo/v4/middleware"
	"github.com/temporalio/ui-server/v2/server/api"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	"github.com/temporalio/ui-server/v2/server/csrf"
	"github.com/temporalio/ui-server/v2/server/headers"
	"github.com/temporalio/ui-server/v2/server/route"
	uiassets "github.com/temporalio/ui-server/v2/ui"
)

// newUI assembles Temporal's Web UI of its own routes, rather than by its server: that
// one listens for itself, and asks nobody who they are. It is to be served behind
// [Config.UIGuard].
func newUI(c Config, temporal string) (http.Handler, error) {
	provider, err := uiconfig.NewConfigProviderWithRefresh(uiSettings{uiconfig.Config{
		TemporalGRPCAddress: temporal,
		Host:                c.Host,
		Port:                c.UIPort,
		EnableUI:            true,
		DefaultNamespace:    c.Namespace,
		// It fetches no news and no versions from outside.
		DisableNewsFetch: true,
		HideLogs:         true,
		Codec:            uiCodec(c.UICodec),
		// It is served without TLS; browsers would drop its cookie otherwise.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}})
	if err != nil {
		return nil, err
	}
	assets, err := uiassets.Assets()
	if err == nil {
		assets, err = fs.Sub(assets, "local")
	}
	if err != nil {
		return nil, err
	}
	e := echo.New()
	e.Use(middleware.Recover(), middleware.Gzip(), middleware.Secure(),
		csrf.EnsureTokenCookie(false), middleware.CSRFWithConfig(csrf.MiddlewareConfig(provider, false)))
	route.SetHealthRoute(e)
	if err := route.SetAPIRoutes(e, provider, []api.Middleware{headers.WithForwardHeaders([]string{"Caller-Type"})}); err != nil {
		return nil, err
	}
	if err := route.SetUIRoutes(e, "", assets, provider); err != nil {
		return nil, err
	}
	route.SetRenderRoute(e, "/")
	return e, nil
}

// uiSettings are the Web UI's, which never change.
type uiSettings struct{ config uiconfig.Config }

// GetConfig implements the Web UI's provider of settings.
func (s uiSettings) GetConfig() (*uiconfig.Config, error) { return &s.config, nil }

// uiCodec leads people to the endpoint's login where it does not know them.
func uiCodec(endpoint string) uiconfig.Codec {
	if endpoint == "" {
		return uiconfig.Codec{}
	}
	return uiconfig.Codec{
		Endpoint: endpoint, IncludeCredentials: true,
		DefaultErrorMessage: "Payloads are encrypted: sign in to read them", DefaultErrorLink: endpoint + "/login",
	}
}

// startUI serves the Web UI, which stops with what it returns.
func startUI(ctx context.Context, c Config, temporal, addr string) (stop func(), err error) {
	handler, err := newUI(c, temporal)
	if err != nil {
		return nil, fmt.Errorf("web UI: %w", err)
	}
	if c.UIGuard != nil {
		handler = c.UIGuard(handler)
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("web UI on %s: %w", addr, err)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			c.Logger.Error("failed to serve the web UI", "error", err)
		}
	}()
	return func() { _ = server.Close() }, nil
}
