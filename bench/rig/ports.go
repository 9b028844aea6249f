package rig

import (
	"context"
	"fmt"
	"net"
)

// FreePorts finds n different ports of the loopback address that nobody listens on.
func FreePorts(ctx context.Context, n int) ([]string, error) {
	var listeners []net.Listener // held until the last is found, so that the ports differ
	defer func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}()
	ports := make([]string, 0, n)
	for range n {
		listener, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		listeners = append(listeners, listener)
		_, port, err := net.SplitHostPort(listener.Addr().String())
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		ports = append(ports, port)
	}
	return ports, nil
}
