package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strconv"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
)

// Synchronous says when SQLite waits for the disk.
type Synchronous string

const (
	// Full waits at every commit: what was accepted survives the loss of power.
	Full Synchronous = "full"
	// Normal waits at checkpoints only, and takes about a third more load. What
	// was accepted survives the death of the process, but the loss of power can
	// take back the last moments before it. It is never corrupt.
	Normal Synchronous = "normal"
)

// DefaultRetention is how long an execution that has ended can be read, and how long its
// id stays taken.
const DefaultRetention = 7 * 24 * time.Hour

// Config says what the engine keeps, where, and on which addresses it listens.
type Config struct {
	// DataDir is the folder of the SQLite files; it is made when absent.
	// Ignored with Memory or Postgres.
	DataDir string
	// Memory keeps nothing beyond the life of the process.
	Memory bool
	// Postgres is a postgres:// URL that names a database. The database, one
	// beside it called …_visibility, and their schema are made and upgraded.
	Postgres string
	// Synchronous is SQLite's; Full when empty.
	Synchronous Synchronous

	// Host is the IP address to listen on; 127.0.0.1 when empty. Neither port
	// authenticates its callers.
	Host string
	// Port is Temporal's gRPC port; any free one when 0.
	Port int
	// UIPort is the Web UI's port; no Web UI when 0.
	UIPort int
	// UICodec is where the Web UI has payloads decrypted: a codec endpoint's URL,
	// called by the browser with its cookies. Payloads are shown as they are
	// stored when empty.
	UICodec string

	// UIGuard is put before the Web UI where it is not nil: it decides who may do what there.
	UIGuard func(http.Handler) http.Handler

	// Namespace is "default" when empty.
	Namespace string
	// Retention is DefaultRetention when 0. A namespace that has another one is
	// changed to this.
	Retention time.Duration
	// SearchAttributes are registered, and indexed; what is registered already
	// stays.
	SearchAttributes map[string]enumspb.IndexedValueType
	// CountBy names search attributes by which open executions are counted: they get an
	// index together, so that what has ended costs such a count nothing.
	CountBy []string

	// Logger logs the engine's warnings and errors, and its information at debug level.
	// slog.Default when nil.
	Logger *slog.Logger
}

func (c Config) withDefaults() (Config, error) {
	if c.Synchronous == "" {
		c.Synchronous = Full
	}
	if c.Host == "" || c.Host == "localhost" {
		c.Host = "127.0.0.1"
	}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	if c.Retention == 0 {
		c.Retention = DefaultRetention
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if err := c.validate(); err != nil {
		return Config{}, err
	}
	if !c.onSQLiteFiles() {
		return c, nil
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return Config{}, fmt.Errorf("data folder %s: %w", c.DataDir, err)
	}
	c.DataDir = dir
	return c, nil
}

func (c Config) validate() error {
	switch {
	case c.Memory && c.Postgres != "":
		return errors.New("keep nothing, or keep it in PostgreSQL: not both")
	case c.onSQLiteFiles() && c.DataDir == "":
		return errors.New("no data folder is named")
	case c.Synchronous != Full && c.Synchronous != Normal:
		return fmt.Errorf("synchronous is %q or %q, not %q", Full, Normal, c.Synchronous)
	case net.ParseIP(c.Host) == nil:
		return fmt.Errorf("host %q is not an IP address", c.Host)
	case c.Retention < 0:
		return fmt.Errorf("retention %s is below zero", c.Retention)
	}
	return nil
}

func (c Config) onSQLiteFiles() bool { return !c.Memory && c.Postgres == "" }

// dialHost is where this process reaches what listens on Host.
func (c Config) dialHost() string {
	switch ip := net.ParseIP(c.Host); {
	case ip.Equal(net.IPv4zero):
		return "127.0.0.1"
	case ip.Equal(net.IPv6zero):
		return "::1"
	default:
		return c.Host
	}
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
