package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"go.temporal.io/server/temporal"
)

// stopTimeout bounds a stop in which a part of the server hangs. A stop takes about a
// second, in which the clients' long polls end.
const stopTimeout = 15 * time.Second

// GCPercent suits a process that has the engine in it, for
// [runtime/debug.SetGCPercent]. Most of its heap is long-lived (caches, schemas), and each
// collection scans it: half as many collections are worth the memory.
const GCPercent = 200

// Engine is a running Temporal server.
type Engine struct {
	address, uiURL string
	log            *logger
	store          *store
	server         temporal.Server
	ports          ports
	stopUI         func()
	stop           sync.Once
}

// Start returns when the namespace can be used, or an error of one line that
// says what is wrong. ctx bounds the start, not the life of the engine.
func Start(ctx context.Context, c Config) (*Engine, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("engine: %w", err)
	}
	e := &Engine{log: newLogger(c.Logger)}
	e.log.state.quiet.Store(true)
	if err := e.start(ctx, c); err != nil {
		e.Stop()
		return nil, fmt.Errorf("engine: %w", err)
	}
	e.log.state.quiet.Store(false)
	return e, nil
}

func (e *Engine) start(ctx context.Context, c Config) error {
	p := choosePorts(c.Port)
	releasePort, err := reserve(ctx, "Temporal", c.Host, p.frontend)
	if err != nil {
		return err
	}
	defer releasePort()
	releaseUI, err := reserve(ctx, "the web UI", c.Host, c.UIPort)
	if err != nil {
		return err
	}
	defer releaseUI()

	if e.store, err = openStore(ctx, c); err != nil {
		return err
	}
	aliases, err := ensureNamespace(ctx, c, e.store)
	if err != nil {
		return fmt.Errorf("namespace %s: %s", c.Namespace, oneLine(err))
	}
	if err := leanVisibility(ctx, e.store, aliases, c.CountBy); err != nil {
		return fmt.Errorf("visibility database: %s", oneLine(err))
	}

	e.ports = p
	releasePort()
	if e.server, err = build(c, e.store, p, e.log); err != nil {
		return err
	}
	if err := e.server.Start(); err != nil {
		return fmt.Errorf("temporal: %s", oneLine(err))
	}
	e.address = address(c.dialHost(), p.frontend)
	if err := awaitReady(ctx, e.address, c.Namespace); err != nil {
		return err
	}
	if c.UIPort == 0 {
		return nil
	}
	releaseUI()
	uiAddress := address(c.dialHost(), c.UIPort)
	if e.stopUI, err = startUI(ctx, c, e.address, address(c.Host, c.UIPort)); err != nil {
		return err
	}
	e.uiURL = "http://" + uiAddress
	return nil
}

func openStore(ctx context.Context, c Config) (*store, error) {
	switch {
	case c.Postgres != "":
		return openPostgres(ctx, c.Postgres)
	case c.Memory:
		return openMemory()
	default:
		return openFolder(ctx, c)
	}
}

// Address is where Temporal clients connect: host and port.
func (e *Engine) Address() string { return e.address }

// UIURL is the Web UI's address; empty when there is none.
func (e *Engine) UIURL() string { return e.uiURL }

// Ports are those on which the engine's own parts talk to each other and to clients:
// nothing that a tenant names may lead there.
func (e *Engine) Ports() []int {
	return []int{e.ports.frontend, e.ports.history, e.ports.matching, e.ports.worker}
}

// Stop lets what is under way end, for a few seconds, and frees what was taken.
func (e *Engine) Stop() {
	e.stop.Do(func() {
		e.log.state.quiet.Store(true)
		if e.stopUI != nil {
			e.stopUI()
		}
		if e.server != nil {
			e.stopServer()
		}
		if e.store != nil {
			_ = e.store.close()
		}
	})
}

func (e *Engine) stopServer() {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		_ = e.server.Stop()
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		e.log.slog.Warn("The engine did not stop in time: what was under way is repeated after the next start")
	}
}
