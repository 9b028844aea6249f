// Package tenants reads and changes what is configured for each tenant: its endpoints,
// keys and secrets. One execution for each tenant keeps that, and this package caches it
// in memory for a second.
package tenants

import (
	"cmp"
	"log/slog"
	"sync"
	"time"

	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate"
)

// Config is what a [Store] needs.
type Config struct {
	Temporal client.Client
	// DefaultSecret signs the default tenant's messages to bare urls until its secret is
	// first rotated.
	DefaultSecret postdate.Secret
	// DisableAfter is how long an endpoint may fail before it is disabled.
	// Default 5 days.
	DisableAfter time.Duration
	// MaxInFlight bounds the attempts under way at endpoints that have no bound of
	// their own. Default 100.
	MaxInFlight int
	// CanaryReportInterval is how long attempts at endpoints that have a canary are counted
	// before they are reported. Default 3 s.
	CanaryReportInterval time.Duration
	// Shared says that other processes read the same tenants: then a change takes a
	// second, until each of them has it.
	Shared bool
	Log    *slog.Logger
	Now    func() time.Time
}

// Store reads and changes tenants. It is safe for concurrent use.
type Store struct {
	config   Config
	watch    *watch
	canaries canaryCounts

	mu      sync.Mutex
	entries map[string]*entry // by tenant
	cleared time.Time         // when unused entries were last dropped
}

const defaultDisableAfter = 5 * 24 * time.Hour

// New returns a store.
func New(c Config) *Store {
	c.DisableAfter = cmp.Or(c.DisableAfter, defaultDisableAfter)
	c.MaxInFlight = cmp.Or(c.MaxInFlight, postdate.DefaultInFlight)
	c.CanaryReportInterval = cmp.Or(c.CanaryReportInterval, canaryReportInterval)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{config: c, entries: make(map[string]*entry), watch: newWatch()}
}

// defaultSecret is the secret that signs a tenant's messages to bare urls as long as it
// has none of its own: empty where there is none.
func (s *Store) defaultSecret(tenant string) postdate.Secret {
	if tenant != postdate.DefaultTenant {
		return ""
	}
	return s.config.DefaultSecret
}
