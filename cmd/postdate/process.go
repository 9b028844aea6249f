package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/postdate/postdate/internal/executions"
	"github.com/postdate/postdate/internal/ingest"

	"go.opentelemetry.io/otel"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/postdate/postdate"
	"github.com/postdate/postdate/apiserver"
	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/internal/deliveries"
	"github.com/postdate/postdate/internal/pacer"
	"github.com/postdate/postdate/internal/pull"
	"github.com/postdate/postdate/internal/recurrences"
	"github.com/postdate/postdate/internal/streams"
	"github.com/postdate/postdate/internal/tenants"
	"github.com/postdate/postdate/senders/webhook"
	"github.com/postdate/postdate/worker"
)

// roles are what a process does: answer the API, make deliveries, take what comes from
// streams.
type roles struct{ api, worker, consume bool }

// process is one process of Postdate, on a Temporal that runs somewhere. Fields that are not settings come from the command.
type process struct {
	config
	roles
	// shared: other processes may serve the same tenants.
	shared   bool
	temporal client.Options
	ready    func() // is called once a worker polls: what is accepted before waits until then
	log      *slog.Logger
	environ  []string
	// login is the codec endpoint's, where the command has made one already.
	login *codec.Login
	// ownPorts are those of this machine that belong to this process, beside the API's.
	ownPorts []int
	loopback loopback
}

// run runs p until ctx is done: then requests are drained first, and attempts
// after them, for as long as the settings allow.
func (p process) run(ctx context.Context) error {
	telemetry, err := startTelemetry(ctx, p.environ)
	if err != nil {
		return err
	}
	defer func() { _ = telemetry.stop(context.WithoutCancel(ctx)) }()
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", p.HTTPAddr)
	if err != nil {
		return fmt.Errorf("http: %w", err)
	}
	defer socket.Close()
	metrics, stopMetrics, err := p.serveMetrics(ctx, telemetry.metrics)
	if err != nil {
		return err
	}
	defer stopMetrics()

	ring, err := codec.ParseRing(p.EncryptionKeys)
	if err != nil {
		return fmt.Errorf("encryption keys: %w", err)
	}
	p.temporal = p.clientOptions(ring, telemetry)
	temporal, check, err := p.connect(ctx, ring)
	if err != nil {
		return err
	}
	defer temporal.Close()

	guards := p.guards(ctx)
	s, err := p.stores(temporal, check)
	if err != nil {
		return err
	}
	defer s.tenants.Close()
	if s.streams, err = p.openStreams(ctx); err != nil {
		return err
	}
	defer s.streams.Close()
	p.watchBacklog(ctx, s)
	if p.worker {
		stopWorker, err := p.startWorker(temporal, s, guards) //nolint:contextcheck // it reports what its last attempts came to
		if err != nil {
			return err
		}
		defer stopWorker()
	}
	consumers, stopConsumers, err := p.startConsumers(ctx, s, guards)
	if err != nil {
		return err
	}
	defer stopConsumers()
	handler, err := p.handler(apiserver.Config{ //nolint:contextcheck // nothing there outlives the start
		Ingester: s.ingester, Deliveries: s.deliveries, Tenants: s.tenants, Recurrences: s.recurrences, Pulls: s.pulls, Quotas: s.quotas, Namespace: p.temporal.Namespace,
		Meter: otel.Meter("postdate"), Metrics: metrics, CheckURL: guards.checkURL, Stopping: ctx.Done(), Streams: s.streams, Consumed: consumptionOf(consumers),
	}, ring)
	if err != nil {
		return err
	}
	go p.awaitReady(ctx, temporal)
	return serveUntil(ctx, p.server(handler), p.limitConnections(socket), p.ShutdownTimeout)
}

// server serves a handler, and bounds what a caller may cost.
func (p process) server(handler http.Handler) *http.Server {
	return &http.Server{
		Handler: checkHost(handler, p.HTTPAddr, p.AllowedHosts), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		// A query is as long as a header at most, and what is refused is to cost little.
		MaxHeaderBytes: 128 << 10,
		// A body that comes slowly holds a connection for so long. When it is over
		// the request's context ends too, so no handler may need longer.
		ReadTimeout: 2 * time.Minute,
	}
}

// watchBacklog watches how far the workers are behind, for those who accept something.
func (p process) watchBacklog(ctx context.Context, s stores) {
	if p.api || p.consume {
		go s.backlog.Run(ctx)
	}
}

// startWorker starts the worker. stop stops it, and reports what its last attempts came to.
func (p process) startWorker(temporal client.Client, s stores, g guards) (stop func(), err error) {
	limiter := pacer.New(pacer.Config{
		Temporal: temporal, Tenants: s.tenants, MaxInFlight: p.MaxInFlight, Slots: p.WorkerSlots,
		Log: p.log, Now: time.Now,
	})
	w := worker.New(p.workerConfig(temporal, s, limiter, g))
	if err := w.Start(); err != nil {
		limiter.Close()
		return nil, fmt.Errorf("start the worker: %w", err)
	}
	return func() {
		w.Stop()
		limiter.Close()
	}, nil
}

// clientOptions are those of the connection to Temporal, with what is kept there encrypted.
func (p process) clientOptions(ring *codec.Ring, telemetry *telemetry) client.Options {
	o := p.temporal
	o.MetricsHandler = telemetry.temporal
	// What is large is encrypted, and does not get smaller.
	o.ConnectionOptions.GrpcCompression = &client.GrpcCompressionNone{}
	// The SDK logs each start and stop of its parts: that is for debugging it.
	o.Logger = sdklog.NewStructuredLogger(slog.New(atLeast{p.log.Handler(), slog.LevelWarn}))
	o.PayloadLimits = client.PayloadLimitOptions{
		PayloadSizeWarning: engine.PayloadWarning, MemoSizeWarning: engine.MemoWarning,
	}
	o.DataConverter = codec.NewDataConverter(ring)
	o.FailureConverter = codec.NewFailureConverter(o.DataConverter)
	return o
}

// connect connects to Temporal, and sees to it that what is kept there can be read and
// found.
func (p process) connect(ctx context.Context, ring *codec.Ring) (client.Client, *encryptionCheck, error) {
	temporal, err := client.DialContext(ctx, p.temporal)
	if err != nil {
		return nil, nil, fmt.Errorf("no Temporal at %s: %w", p.temporal.HostPort, err)
	}
	check := &encryptionCheck{temporal: temporal, converter: p.temporal.DataConverter, keyIDs: ring.IDs()}
	err = registerAttributes(ctx, temporal, p.temporal.Namespace)
	if err == nil {
		err = check.ensure(ctx)
	}
	if err != nil {
		temporal.Close()
		return nil, nil, err
	}
	return temporal, check, nil
}

// serveMetrics serves the metrics at an address of their own, where there is one: then
// the API does not answer them.
func (p process) serveMetrics(ctx context.Context, metrics http.Handler) (forAPI http.Handler, stop func(), err error) {
	if p.MetricsAddr == "" {
		return metrics, func() {}, nil
	}
	socket, err := new(net.ListenConfig).Listen(ctx, "tcp", p.MetricsAddr)
	if err != nil {
		return nil, nil, fmt.Errorf("metrics: %w", err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", metrics)
	server := &http.Server{Handler: checkHost(mux, p.MetricsAddr, p.AllowedHosts), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			p.log.Error("failed to serve the metrics", "error", err)
		}
	}()
	return nil, func() { _ = server.Close() }, nil
}

// awaitReady calls ready once Temporal knows of a worker.
func (p process) awaitReady(ctx context.Context, temporal client.Client) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		if polling, err := worker.Polling(ctx, temporal); err == nil && polling {
			p.ready()
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
	// recurrences starts and reads deliveries by the other two.
	recurrences *recurrences.Store
	pulls       *pull.Store
	streams     *streams.Streams

	limits
}

func (p process) stores(temporal client.Client, check *encryptionCheck) (stores, error) {
	configured := tenants.New(tenants.Config{
		Temporal:      temporal,
		DefaultSecret: postdate.Secret(p.SigningSecret),
		DisableAfter:  p.DisableAfter,
		MaxInFlight:   p.MaxInFlight,
		Shared:        p.shared,
		Log:           p.log,
		Now:           time.Now,
	})
	started := executions.New(executions.Config{
		Temporal:      temporal,
		DataConverter: p.temporal.DataConverter,
		Namespace:     p.temporal.Namespace,
		EagerStart:    p.worker,
	})
	bounds, err := p.limits(temporal, started)
	if err != nil {
		return stores{}, err
	}
	var pulls *pull.Store
	s := stores{
		tenants: configured,
		limits:  bounds,
		ingester: ingest.New(ingest.Config{
			Temporal:             temporal,
			Executions:           started,
			Tenants:              configured,
			MaxInFlight:          p.MaxInFlight,
			BurstPerSecond:       bounds.burst.PerSecond,
			Quotas:               bounds.quotas,
			MaxRequestDeliveries: p.TenantDeliveries,
			Backlog:              bounds.backlog.Check,
			Joined:               func(tenant, endpoint string) { pulls.Joined(tenant, endpoint) },
			Log:                  p.log,
			Now:                  time.Now,
		}),
		deliveries: deliveries.New(deliveries.Config{
			Temporal:    temporal,
			Executions:  started,
			Tenants:     configured,
			MaxInFlight: p.MaxInFlight,
			WorkerPolling: func(ctx context.Context) (bool, error) {
				if err := check.ready(ctx); err != nil {
					return false, postdate.Errorf(postdate.Unavailable, "", "%s", err)
				}
				return worker.Polling(ctx, temporal)
			},
			Log: p.log,
			Now: time.Now,
		}),
	}
	pulls = pull.New(pull.Config{
		Temporal: temporal, Executions: started, Tenants: configured, Deliveries: s.deliveries, MaxInFlight: p.MaxInFlight, Log: p.log,
	})
	s.pulls = pulls
	s.recurrences = recurrences.New(recurrences.Config{
		Temporal: temporal, Executions: started, Tenants: configured, Starter: s.ingester, Deliveries: s.deliveries, Now: time.Now,
	})
	return s, nil
}

func (p process) workerConfig(temporal client.Client, s stores, limiter *pacer.Pacer, g guards) worker.Config {
	return worker.Config{
		Client: temporal,
		Sender: sender{
			urls: webhook.New(webhook.Config{
				Guard: g.everybody, TenantGuards: g.tenants,
				UserAgent: "Postdate/" + version,
			}),
			streams: s.streams,
		},
		Tenants:        s.tenants,
		Ingester:       s.ingester,
		Deliveries:     s.deliveries,
		Recurrences:    s.recurrences,
		Limiter:        limiter,
		BurstRate:      s.burst,
		MaxInFlight:    p.MaxInFlight,
		MaxReschedules: p.TenantReschedules,
		Log:            p.log,
		// Those that wait for a permit need one too: attempts are bounded by the limiter.
		Slots:       2 * p.WorkerSlots,
		StopTimeout: p.ShutdownTimeout,
	}
}

// handler is what the process answers over HTTP: the API, or, of a worker
// alone, its health and metrics. The API is as c has it and the settings say.
func (p process) handler(c apiserver.Config, ring *codec.Ring) (http.Handler, error) {
	if !p.api {
		return workerHandler(c.Deliveries.Ready, c.Metrics, c.Streams, c.Consumed), nil
	}
	c.AdminKeys, c.RateLimit = p.adminKeys(), p.RateLimit
	c.TenantRateLimit, c.TenantRequests = p.TenantRateLimit, p.TenantRequests
	c.RequestDeliveries, c.Reschedules = p.TenantDeliveries, p.TenantReschedules
	c.AllowHTTP = p.AllowHTTP
	c.UIURL, c.Version = p.UIURL, version
	c.Log, c.Now = p.log, time.Now
	api, err := apiserver.New(c)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return p.withCodec(api, ring)
}

// withCodec answers, beside the API, the endpoint by which the Web UI shows
// payloads to those who hold the key.
func (p process) withCodec(api http.Handler, ring *codec.Ring) (http.Handler, error) {
	login := p.login
	if login == nil {
		var err error
		if login, err = codec.NewLogin(codec.LoginConfig{Keys: p.adminKeys(), UIURL: p.UIURL, Log: p.log}); err != nil {
			return nil, fmt.Errorf("codec endpoint: %w", err)
		}
	}
	payloads, err := codec.NewHandler(codec.HandlerConfig{
		Ring: ring, UIURL: p.UIURL, Hide: postdate.HideSecrets, Authorize: login.Authorized,
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
