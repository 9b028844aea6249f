// Command postdate sends messages to the future.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "postdate:", err)
		if exit, ok := errors.AsType[exitError](err); ok {
			os.Exit(exit.status)
		}
		os.Exit(1)
	}
}

// run is the whole program: args without the program's name, environ as
// [os.Environ] gives it. It returns once ctx is done and everything has drained.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	root := newRoot(environ) //nolint:contextcheck // each command gets ctx from cobra
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	return root.ExecuteContext(ctx) //nolint:wrapcheck // told as it is
}
