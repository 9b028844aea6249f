package engine

import (
	"context"
	"fmt"
	"net"
	"time"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

func newUI(c Config, temporal string) *uiserver.Server {
	host := c.Host
	if net.ParseIP(host).To4() == nil {
		host = "[" + host + "]" // the UI joins host and port without looking
	}
	return uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: temporal,
		Host:                host,
		Port:                c.UIPort,
		EnableUI:            true,
		DefaultNamespace:    c.Namespace,
		// It fetches no news and versions from outside.
		DisableNewsFetch: true,
		HideLogs:         true,
		Codec:            uiCodec(c.UICodec),
		// It is served without TLS; browsers would drop its cookie otherwise.
		CORS: uiconfig.CORS{CookieInsecure: true},
	}))
}

// uiCodec points to the codec endpoint, and to its login.
func uiCodec(endpoint string) uiconfig.Codec {
	if endpoint == "" {
		return uiconfig.Codec{}
	}
	return uiconfig.Codec{
		Endpoint: endpoint, IncludeCredentials: true,
		DefaultErrorMessage: "Payloads are encrypted: sign in to read them", DefaultErrorLink: endpoint + "/login",
	}
}

// startUI returns once the UI accepts connections.
func startUI(ctx context.Context, ui *uiserver.Server, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	go ui.Start() //nolint:errcheck // it ends the process where it cannot serve, and answers nil

	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	var dialer net.Dialer
	for {
		conn, err := dialer.DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("web UI on %s: %w", addr, ctx.Err())
		case <-tick.C:
		}
	}
}
