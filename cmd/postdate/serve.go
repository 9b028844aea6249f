package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
)

func newServe(environ []string) *cobra.Command {
	return newNode(environ, roles{api: true, worker: true, consume: true}, &cobra.Command{
		Use:   "serve",
		Short: "Run the API and a worker against a Temporal cluster",
		Long: `Serve runs the API and a worker in one process, against a Temporal cluster
found by Temporal's own variables: TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE,
TEMPORAL_API_KEY, TEMPORAL_TLS and so on. Run as many as you like.

Because API and worker share the process, a message that is due at once is
handed to the worker without a trip through Temporal's queue.`,
		Example: `  TEMPORAL_ADDRESS=temporal:7233 POSTDATE_ADMIN_KEY=… POSTDATE_SIGNING_SECRET=… postdate serve`,
	})
}

func newAPI(environ []string) *cobra.Command {
	return newNode(environ, roles{api: true}, &cobra.Command{
		Use:   "api",
		Short: "Run the API alone against a Temporal cluster",
		Long: `Api runs the HTTP API alone, against a Temporal cluster found by Temporal's own
variables. What it accepts is delivered by "postdate worker".`,
	})
}

func newWorker(environ []string) *cobra.Command {
	return newNode(environ, roles{worker: true, consume: true}, &cobra.Command{
		Use:   "worker",
		Short: "Run a worker alone against a Temporal cluster",
		Long: `Worker makes the deliveries that "postdate api" accepts. It needs no address
that others can reach; its health and metrics are served at --http.`,
	})
}

// newNode makes a command that does some of what a process can, against a Temporal elsewhere.
func newNode(environ []string, does roles, cmd *cobra.Command) *cobra.Command {
	http := cmd.Flags().String("http", "", "where to serve http (default $POSTDATE_HTTP_ADDR or 127.0.0.1:8080)")
	cmd.Args = cobra.NoArgs
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(environ)
		if err != nil {
			return err
		}
		if *http != "" {
			c.HTTPAddr = *http
		}
		if err := c.requireSecrets(does.api); err != nil {
			return err
		}
		log := c.logger(cmd.ErrOrStderr())
		temporal, err := temporalOptions(environ)
		if err != nil {
			return err
		}
		n := process{config: c, roles: does, shared: true, temporal: temporal, log: log, environ: environ}
		n.ready = func() {
			log.Info("running", slog.String("version", version), slog.String("http", c.HTTPAddr),
				slog.Bool("api", does.api), slog.Bool("worker", does.worker), slog.Bool("consume", does.consume),
				slog.String("temporal", temporal.HostPort), slog.String("namespace", temporal.Namespace))
		}
		return n.run(cmd.Context())
	}
	return cmd
}

// environment is what Temporal's own configuration is read from.
type environment []string

func (e environment) Environ() []string { return e }

func (e environment) LookupEnv(name string) (string, bool) {
	for _, variable := range e {
		if value, ok := cutName(variable, name); ok {
			return value, true
		}
	}
	return "", false
}

func cutName(variable, name string) (string, bool) {
	if len(variable) > len(name) && variable[:len(name)] == name && variable[len(name)] == '=' {
		return variable[len(name)+1:], true
	}
	return "", false
}

func temporalOptions(environ []string) (client.Options, error) {
	options, err := envconfig.LoadClientOptions(envconfig.LoadClientOptionsRequest{EnvLookup: environment(environ)})
	if err != nil {
		return client.Options{}, fmt.Errorf("configuration: Temporal's connection: %w", err)
	}
	if options.HostPort == "" {
		options.HostPort = client.DefaultHostPort
	}
	if options.Namespace == "" {
		options.Namespace = client.DefaultNamespace
	}
	return options, nil
}
