package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

// version is set when the binary is linked.
var version = "dev"

func newRoot(environ []string) *cobra.Command {
	root := &cobra.Command{
		Use:   "postdate",
		Short: "Sends messages to the future and to whoever asked for them",
		Long: `Postdate sends messages to the future and to whoever asked for them.

Each message is a durable Temporal workflow that sleeps until it is due, is
delivered as a signed webhook, and is retried alone. To try it, all in one
process and nothing to install:

  postdate dev       the engine, its Web UI, the API and the worker
  postdate listen    in another terminal: a receiver that verifies and prints

In production, run "postdate serve" (or its halves, "api" and "worker") against
a Temporal cluster. Settings are environment variables: docs/configuration.md.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
	}
	root.AddCommand(newDev(environ), newServe(environ), newAPI(environ), newWorker(environ), newConsume(environ),
		newListen(environ), newPull(environ), newImport(environ), newVersion())
	return root
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of Postdate and what it is built with",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "postdate %s, Temporal server %s, SDK %s, %s\n", version,
				moduleVersion("go.temporal.io/server"), moduleVersion("go.temporal.io/sdk"), runtime.Version())
			return err //nolint:wrapcheck // told as it is
		},
	}
}

// moduleVersion is the version of a module that this binary was built with.
func moduleVersion(path string) string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, module := range info.Deps {
			if module.Path == path {
				return module.Version
			}
		}
	}
	return "unknown"
}
