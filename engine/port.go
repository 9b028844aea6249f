package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"

	"go.temporal.io/server/common/testing/freeport"
)

// loopback is where the services inside the engine talk to each other.
const loopback = "127.0.0.1"

// ports are the TCP ports of the engine's services.
type ports struct {
	frontend, history, matching, worker int
}

func choosePorts(frontend int) ports {
	if frontend == 0 {
		frontend = freeport.MustGetFreePort()
	}
	return ports{
		frontend: frontend,
		history:  freeport.MustGetFreePort(),
		matching: freeport.MustGetFreePort(),
		worker:   freeport.MustGetFreePort(),
	}
}

// reserve holds a port until its server is about to listen on it. The servers end the
// process when they cannot listen; this returns an error instead. Port 0 means no server.
func reserve(ctx context.Context, use, host string, port int) (release func(), err error) {
	if port == 0 {
		return func() {}, nil
	}
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", address(host, port))
	if err == nil {
		return func() { _ = l.Close() }, nil
	}
	if sys, ok := errors.AsType[*os.SyscallError](err); ok {
		err = sys.Err
	}
	return nil, fmt.Errorf("cannot listen on %s for %s: %w", address(host, port), use, err)
}
