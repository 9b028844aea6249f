package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"path/filepath"
	"runtime/debug"

	"github.com/caarlos0/env/v11"
	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"

	"github.com/postdate/postdate/engine"
	"github.com/postdate/postdate/internal/codec"
)

const defaultData = ".postdate"

// dev is everything in one process.
type dev struct {
	data, db             string
	memory               bool
	http                 string
	uiPort, temporalPort int
}

func newDev(environ []string) *cobra.Command {
	var d dev
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything in one process: engine, Web UI, API and worker",
		Long: `Dev runs the Temporal engine, its Web UI, the API and a worker in one process,
with nothing to install. It keeps its data, and the keys that it makes, under
--data, and goes on where it was when it is started again.

It delivers to plain http and to loopback addresses, so that a receiver can run
beside it; "postdate listen" is one.`,
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
	flags.StringVar(&d.db, "db", "", "keep the engine's data in PostgreSQL: postgres://user:password@host:port/database")
	flags.StringVar(&d.http, "http", "", "where the API listens (default $POSTDATE_HTTP_ADDR or 127.0.0.1:8080)")
	flags.IntVar(&d.uiPort, "ui-port", 8233, "port of the Temporal Web UI, 0 for none")
	flags.IntVar(&d.temporalPort, "temporal-port", 7233, "port of the Temporal engine")
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
	if c, err = c.withSecrets(keys); err != nil {
		return err
	}
	c.AllowHTTP = true
	c.AllowNetworks = append(c.AllowNetworks, netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"))
	log := c.logger(stderr)
	if _, set := env.ToMap(environ)["GOGC"]; !set {
		debug.SetGCPercent(engine.GCPercent)
	}

	running, err := engine.Start(ctx, d.engineConfig(c, log))
	if err != nil {
		return fmt.Errorf("engine: %w", err)
	}
	defer running.Stop()
	c.UIURL = running.UIURL()

	n := process{
		config: c, api: true, worker: true, log: log, environ: environ,
		temporal: client.Options{HostPort: running.Address(), Namespace: client.DefaultNamespace},
	}
	n.ready = func() { d.printBanner(stdout, c, running) }
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
		Logger:           log,
	}
}

// printBanner tells where everything is and what to try. It writes the keys, for
// whoever started this on their own terminal has no other way to learn them.
func (d dev) printBanner(w io.Writer, c config, running *engine.Engine) {
	kept := "in memory, nothing is kept"
	if d.db != "" {
		kept = "in PostgreSQL"
	} else if !d.memory {
		kept = "in " + filepath.Clean(d.data)
	}
	listen := "bin/postdate listen"
	if d.memory {
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
    -H 'Authorization: Bearer %[6]s' -H 'Content-Type: application/json' \
    -d '{"type": "hello", "delay": "5s", "data": {"to": "the future"}, "to": {"url": "http://127.0.0.1:9000/"}}'

Or POST {"url": "http://127.0.0.1:9000/", "event_types": ["*"]} to /v1/endpoints,
have "postdate listen" verify by the answer's "secret", with --secret, and publish
what happens to all who subscribed: POST {"type": "hello"} to /v1/events.

`, version, kept, reachable(c.HTTPAddr), ui, running.Address(), c.AdminKey, listen)
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
