package webhook

import (
	"context"
	"errors"
	"net"
	"syscall"
)

// lenientConn can be read on where it can be written no more. A receiver may
// answer before it has read a request, and close: net/http gives up on the write
// that fails then (golang.org/issue/11745), though the answer is there to be read.
// Where none is, reading fails just as well.
type lenientConn struct{ net.Conn }

// Write says of what the other end takes no more that it was written.
func (c lenientConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, net.ErrClosed) {
		return len(p), nil
	}
	return n, err //nolint:wrapcheck // net/http knows its errors
}

// dial makes the connections of a transport.
func dial(dialer *net.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, network, address)
		if err != nil {
			return nil, err //nolint:wrapcheck // explain knows its errors
		}
		return lenientConn{conn}, nil
	}
}
