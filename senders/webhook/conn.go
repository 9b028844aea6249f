package webhook

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// lenientConn hides that the other end takes no more, so that its answer is read. A receiver
// may answer before it has read a request, and close the connection: the next write fails,
// and net/http returns that error although the answer can be read
// (https://go.dev/issue/11745). If there is no answer, reading fails too.
type lenientConn struct{ net.Conn }

// Write discards p where the other end takes no more.
func (c lenientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return len(p), nil
	}
	return n, err //nolint:wrapcheck // net/http knows its errors
}

// dial is the dialling function of a transport.
func dial(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err //nolint:wrapcheck // explain knows its errors
		}
		return lenientConn{conn}, nil
	}
}
