package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"

	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/guard"
	"github.com/postdate/postdate/internal/pacer"
	"github.com/postdate/postdate/internal/tenants"
	"github.com/postdate/postdate/senders/webhook"
	"github.com/postdate/postdate/worker"
)

// process is one process of Postdate: the API, a worker, or both, on an engine
// that runs somewhere. Fields that are not settings come from the command.
type process struct {
	config
	api, worker bool
	temporal    client.Options
	ready       func() // told once a worker polls: for what is accepted before, nothing happens yet
	log         *slog.Logger
	environ     []string
}

// run runs n until ctx is done: then requests are drained first, and attempts
// after them, for as long as the settings allow.
func (n process) run(ctx context.Context) error {
	telemetry, err := startTelemetry(ctx, n.environ)
	if err != nil {
		return err
	}
	defer func() { _ = telemetry.stop(context.WithoutCancel(ctx)) }()
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", n.HTTPAddr)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	defer socket.Close()

	n.temporal.MetricsHandler = telemetry.temporal
	// What is large is encrypted, and does not get smaller.
	n.temporal.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	// The SDK tells of each start and stop of its parts: that is for debugging it.
	n.temporal.Logger = sdklog.NewStructuredLogger(slog.New(atLeast{n.log.Handler(), slog.LevelWarn}))
	n.temporal.PayloadLimits = client.PayloadLimitOptions{
		PayloadSizeWarning: engine.PayloadWarning, MemoSizeWarning: engine.MemoWarning,
	}
	ring, err := codec.ParseRing(n.EncryptionKeys)
	if err != nil {
		return fmt.Errorf("encryption keys: %w", err)
	}
	n.temporal.DataConverter = codec.NewDataConverter(ring)
	n.temporal.FailureConverter = codec.NewFailureConverter(n.temporal.DataConverter)
	temporal, err := client.DialContext(ctx, n.temporal)
	if err != nil {
		return fmt.Errorf("no Temporal at %s: %w", n.temporal.HostPort, err)
	}
	defer temporal.Close()
	if err := registerAttributes(ctx, temporal, n.temporal.Namespace); err != nil {
		return err
	}

	s := n.stores(temporal)
	defer s.tenants.Close()
	if n.worker {
		limiter := pacer.New(pacer.Config{
			Temporal: temporal, Tenants: s.tenants, MaxInFlight: n.MaxInFlight, Log: n.log, Now: time.Now,
		})
		defer limiter.Close() //nolint:contextcheck // what the worker's last attempts came to is told still
		w := worker.New(n.workerConfig(temporal, s, limiter))
		if err := w.Start(); err != nil {
			return fmt.Errorf("start the worker: %w", err)
		}
		defer w.Stop()
	}
	handler, err := n.handler(temporal, apiserver.Config{ //nolint:contextcheck // nothing there outlives the start
		Ingester: s.ingester, Deliveries: s.deliveries, Tenants: s.tenants, Namespace: n.temporal.Namespace, Metrics: telemetry.metrics,
	}, ring)
	if err != nil {
		return err
	}
	go n.tellWhenReady(ctx, temporal)
	server := &http.Server{
		Handler: handler, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		// Who sends a body slowly holds a connection for so long. When it is over
		// the request's context ends too, so no handler may need longer.
		ReadTimeout: 2 * time.Minute,
	}
	return serveUntil(ctx, server, socket, n.ShutdownTimeout)
}

// tellWhenReady tells that n runs once the engine knows of a worker.
func (n process) tellWhenReady(ctx context.Context, temporal client.Client) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if polling, err := worker.Polling(ctx, temporal); err == nil && polling {
			n.ready()
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-again.C:
		}
	}
}

// stores are the ways to Temporal that the API and the worker of a process share.
type stores struct {
	tenants    *tenants.Store
	ingester   *ingest.Ingester
	deliveries *deliveries.Store
}

func (n process) stores(temporal client.Client) stores {
	configured := tenants.New(tenants.Config{
		Temporal:      temporal,
		DefaultSecret: postdate.Secret(n.SigningSecret),
		DisableAfter:  n.DisableAfter,
		MaxInFlight:   n.MaxInFlight,
		Log:           n.log,
		Now:           time.Now,
	})
	started := executions.New(executions.Config{
		Temporal:      temporal,
		DataConverter: n.temporal.DataConverter,
		Namespace:     n.temporal.Namespace,
		EagerStart:    n.worker,
	})
	return stores{
		tenants: configured,
		ingester: ingest.New(ingest.Config{
			Temporal:             temporal,
			Executions:           started,
			Tenants:              configured,
			MaxInFlight:          n.MaxInFlight,
			TenantBurstPerSecond: n.TenantBurstPerSecond,
			Log:                  n.log,
			Now:                  time.Now,
		}),
		deliveries: deliveries.New(deliveries.Config{
			Temporal:      temporal,
			Executions:    started,
			Tenants:       configured,
			MaxInFlight:   n.MaxInFlight,
			WorkerPolling: func(ctx context.Context) (bool, error) { return worker.Polling(ctx, temporal) },
			Log:           n.log,
			Now:           time.Now,
		}),
	}
}

func (n process) workerConfig(temporal client.Client, s stores, limiter *pacer.Pacer) worker.Config {
	return worker.Config{
		Client: temporal,
		Sender: webhook.New(webhook.Config{
			AllowNetworks: n.AllowNetworks,
			UserAgent:     "Postdate/" + version,
		}),
		Tenants:     s.tenants,
		Ingester:    s.ingester,
		Deliveries:  s.deliveries,
		Limiter:     limiter,
		MaxInFlight: n.MaxInFlight,
		Log:         n.log,
		Slots:       n.WorkerSlots,
		StopTimeout: n.ShutdownTimeout,
	}
}

// handler is what the process answers over HTTP: the API, or, of a worker
// alone, its health and metrics. The API is as c has it and the settings say.
func (n process) handler(temporal client.Client, c apiserver.Config, ring *codec.Ring) (http.Handler, error) {
	if !n.api {
		return workerHandler(temporal, c.Metrics), nil
	}
	c.AdminKey, c.RateLimit = n.AdminKey, n.RateLimit
	c.AllowHTTP, c.CheckURL = n.AllowHTTP, guard.New(n.AllowNetworks).CheckURL
	c.UIURL, c.Version = n.UIURL, version
	c.Log, c.Now = n.log, time.Now
	api, err := apiserver.New(c)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return n.withCodec(api, ring)
}

// withCodec answers, beside the API, the endpoint by which the Web UI shows
// payloads to those who hold the key.
func (n process) withCodec(api http.Handler, ring *codec.Ring) (http.Handler, error) {
	login, err := codec.NewLogin(codec.LoginConfig{Key: n.AdminKey, UIURL: n.UIURL, Log: n.log})
	if err != nil {
		return nil, fmt.Errorf("codec endpoint: %w", err)
	}
	payloads, err := codec.NewHandler(codec.HandlerConfig{
		Ring: ring, UIURL: n.UIURL, Hide: postdate.HideSecrets, Authorize: login.Authorized,
	})
	if err != nil {
		return nil, fmt.Errorf("codec endpoint: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("/", api)
	mux.Handle(codec.Path+"/", payloads)
	mux.Handle(codec.LoginPath, login)
	return mux, nil
}

// atLeast passes on only what is at least as important as its level.
type atLeast struct {
	slog.Handler
	level slog.Level
}

func (h atLeast) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.level && h.Handler.Enabled(ctx, level)
}

func (h atLeast) WithAttrs(attrs []slog.Attr) slog.Handler {
	return atLeast{h.Handler.WithAttrs(attrs), h.level}
}

func (h atLeast) WithGroup(name string) slog.Handler {
	return atLeast{h.Handler.WithGroup(name), h.level}
}
