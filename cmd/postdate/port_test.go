package main

import (
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// freePort is one that nobody listens on, below those that the system gives to
// whoever asks for any: until it is used, it is not given to a connection.
func freePort(t *testing.T) string {
	t.Helper()
	for {
		port := strconv.Itoa(int(lastPort.Add(1)))
		socket, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:"+port)
		if err == nil {
			require.NoError(t, socket.Close())
			return port
		}
		require.ErrorIs(t, err, syscall.EADDRINUSE)
	}
}

var lastPort = func() *atomic.Int32 {
	var port atomic.Int32
	port.Store(10_000 + rand.Int32N(8_000)) // so that two runs side by side do not meet
	return &port
}()
