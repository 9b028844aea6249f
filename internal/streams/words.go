package streams

import (
	"errors"
	"net"
	"syscall"
)

// Words says what is wrong with a connection, without the broker's address: tenants read it,
// and they know names only.
func Words(err error) string {
	if failure, ok := errors.AsType[*net.DNSError](err); ok {
		if failure.IsNotFound {
			return "the broker's name does not resolve"
		}
		return "the broker's name could not be looked up"
	}
	if failure, ok := errors.AsType[*net.OpError](err); ok && failure.Err != nil {
		return Words(failure.Err)
	}
	if failure, ok := errors.AsType[syscall.Errno](err); ok {
		return failure.Error()
	}
	return err.Error()
}
