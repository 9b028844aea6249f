package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/internal/codec"
	"github.com/postdate/postdate/protocol"
)

const defaultData = ".postdate"

// dev is everything in one process.
type dev struct {
	data, db             string
	memory               bool
	http                 string
	uiPort, temporalPort int
	allowLoopback        loopback
}

func newDev(environ []string) *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process: engine, Web UI, API and worker",
		Long: `Dev runs the Temporal engine, its Web UI, the API and a worker in one process,
with nothing to install. It keeps its data, and the keys that it makes, under
--data, and goes on where it was when it is started again.

It delivers to plain http, and for the default tenant to loopback addresses, so that
a receiver can run beside it; "postdate listen" is one.`,
		Example: `  postdate dev
  postdate dev --memory
  postdate dev --db postgres://postdate:secret@127.0.0.1:5432/postdate`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.run(cmd.Context(), environ, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&d.data, "data", defaultData, "folder for SQLite's files and for the keys")
	flags.BoolVar(&d.memory, "memory", false, "keep nothing: engine and keys live in memory")
	flags.StringVar(&d.db, "db", "", "keep the engine's data in PostgreSQL: postgres://user:password@host:port/database (default $POSTDATE_DB)")
	flags.StringVar(&d.http, "http", "", "where the API listens (default $POSTDATE_HTTP_ADDR or 127.0.0.1:8080)")
	flags.IntVar(&d.uiPort, "ui-port", 8233, "port of the Temporal Web UI, 0 for none")
	flags.IntVar(&d.temporalPort, "temporal-port", 7233, "port of the Temporal engine")
	d.allowLoopback = defaultTenantOnly
	flags.Var(&d.allowLoopback, "allow-loopback", "whose messages may go to loopback addresses: default (the default tenant's and the operator's own), all, or none")
	cmd.MarkFlagsMutuallyExclusive("memory", "db")
	return cmd
}

func (d dev) run(ctx context.Context, environ []string, stdout, stderr io.Writer) error {
	c, err := loadConfig(environ)
	if err != nil {
		return err
	}
	if d.http != "" {
		c.HTTPAddr = d.http
	}
	keys := d.data
	if d.memory {
		keys = ""
	}
	made := c.AdminKey == "" && !exists(filepath.Join(keys, adminKeyFile))
	if c, err = c.withSecrets(keys); err != nil {
		return err
	}
	if d.db == "" && !d.memory {
		d.db = c.DB
	}
	c.AllowHTTP = true
	log := c.logger(stderr)
	if _, set := env.ToMap(environ)["GOGC"]; !set {
		debug.SetGCPercent(engine.GCPercent)
	}

	login, err := codec.NewLogin(codec.LoginConfig{Keys: c.adminKeys(), UIURL: d.uiURL(), Log: log})
	if err != nil {
		return err
	}
	settings := d.engineConfig(c, log)
	settings.UIGuard = func(ui http.Handler) http.Handler {
		return checkHost(login.GuardUI(ui), net.JoinHostPort("127.0.0.1", "0"), c.AllowedHosts)
	}
	running, err := engine.Start(ctx, settings)
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	defer running.Stop()
	c.UIURL = running.UIURL()

	n := process{
		config: c, roles: roles{api: true, worker: true, consume: true}, log: log, environ: environ, login: login,
		ownPorts: append(running.Ports(), d.uiPort), loopback: d.allowLoopback,
		temporal: client.Options{HostPort: running.Address(), Namespace: client.DefaultNamespace},
	}
	n.ready = func() { d.printBanner(stdout, c, running, made && isTerminal(stdout)) }
	return n.run(ctx)
}

func (d dev) engineConfig(c config, log *slog.Logger) engine.Config {
	return engine.Config{
		DataDir: d.data, Memory: d.memory, Postgres: d.db,
		Synchronous: engine.Synchronous(c.SQLiteSynchronous),
		Port:        d.temporalPort, UIPort: d.uiPort,
		UICodec:   "http://" + reachable(c.HTTPAddr) + codec.Path,
		Namespace: client.DefaultNamespace, Retention: c.Retention,
		SearchAttributes: searchAttributes(),
		CountBy:          []string{protocol.AttrTenant.GetName(), protocol.AttrSize.GetName()},
		Logger:           log,
	}
}

// whereKey says what the operator's key is, or where it is kept, and how a shell gets it.
func (d dev) whereKey(c config, show bool) (key, bearer string) {
	file := filepath.Join(d.data, adminKeyFile)
	switch {
	case d.memory && c.fromEnvironment:
		return "$POSTDATE_ADMIN_KEY", "$POSTDATE_ADMIN_KEY"
	case d.memory: // there is no other way to learn it
		return c.AdminKey, c.AdminKey
	case c.fromEnvironment:
		return "$POSTDATE_ADMIN_KEY", "$POSTDATE_ADMIN_KEY"
	case show:
		return c.AdminKey + "    (kept in " + file + ")", "$(cat " + file + ")"
	default:
		return "kept in " + file, "$(cat " + file + ")"
	}
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// isTerminal reports whether a person reads w.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// uiURL is where the Web UI will be.
func (d dev) uiURL() string {
	if d.uiPort == 0 {
		return ""
	}
	return "http://127.0.0.1:" + strconv.Itoa(d.uiPort)
}

// loopback says whose messages may go to loopback addresses.
type loopback string

const (
	defaultTenantOnly loopback = "default"
	everyTenant       loopback = "all"
	nobody            loopback = "none"
)

// Set, String and Type make loopback a flag.
func (l *loopback) Set(text string) error {
	switch *l = loopback(text); *l {
	case defaultTenantOnly, everyTenant, nobody:
		return nil
	}
	return errors.New("default, all or none")
}

func (l *loopback) String() string { return string(*l) }

// Type names the values in the help text.
func (*loopback) Type() string { return "default|all|none" }

// printBanner prints where everything is and what to try. It shows the operator's key
// once, on a terminal, when it was just made; afterwards it says where it is kept.
func (d dev) printBanner(w io.Writer, c config, running *engine.Engine, showKey bool) {
	key, bearer := d.whereKey(c, showKey)
	kept := "in memory, nothing is kept"
	if d.db != "" {
		kept = "in PostgreSQL"
	} else if !d.memory {
		kept = "in " + filepath.Clean(d.data)
	}
	listen := "bin/postdate listen"
	if d.memory && !c.fromEnvironment {
		listen = "POSTDATE_SIGNING_SECRET=" + c.SigningSecret + " " + listen
	}
	if d.data != defaultData {
		listen += " --data " + d.data
	}
	ui := "off"
	if running.UIURL() != "" {
		ui = running.UIURL() + "    (each message is a workflow; to read it there, sign in at http://" + reachable(c.HTTPAddr) + codec.LoginPath + ")"
	}
	fmt.Fprintf(w, `
Postdate %s is running. Its data is %s.

  API       http://%s    (described at /docs)
  Web UI    %s
  Temporal  %s
  Key       %s

Receive, in another terminal:

  %s

Send a message that is due in 5 seconds:

  curl http://%[3]s/v1/schedules \
    -H "Authorization: Bearer %[8]s" -H 'Content-Type: application/json' \
    -d '{"type": "hello", "delay": "5s", "data": {"to": "the future"}, "to": {"url": "http://127.0.0.1:9000/"}}'

Or POST {"url": "http://127.0.0.1:9000/", "event_types": ["*"]} to /v1/endpoints,
have "postdate listen" verify by the answer's "secret", with --secret, and publish
what happens to all who subscribed: POST {"type": "hello"} to /v1/events.

`, version, kept, reachable(c.HTTPAddr), ui, running.Address(), key, listen, bearer)
}

// reachable is an address that a client on this machine can use, for one that
// a server listens on.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip, err := netip.ParseAddr(host); host == "" || (err == nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}
