package engine

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEngine_ListensOnLoopbackOnly(t *testing.T) {
	t.Parallel()
	start(t, Config{Memory: true, UIPort: choosePorts(0).frontend})
	listeners := listening(t)
	require.GreaterOrEqual(t, len(listeners), 5, "four services and the web UI")
	for _, address := range listeners {
		require.True(t, strings.HasPrefix(address, "0100007F:"), "listens on %s", address)
	}
}

// listening are the local addresses on which this process listens, in the
// kernel's notation.
func listening(t *testing.T) []string {
	t.Helper()
	var sockets []string
	fds, err := filepath.Glob("/proc/self/fd/*")
	require.NoError(t, err)
	for _, fd := range fds {
		if link, err := os.Readlink(fd); err == nil && strings.HasPrefix(link, "socket:[") {
			sockets = append(sockets, strings.Trim(strings.TrimPrefix(link, "socket:"), "[]"))
		}
	}
	var addresses []string
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		content, _ := os.ReadFile(table)
		for line := range strings.Lines(string(content)) {
			f := strings.Fields(line)
			const local, state, inode, listen = 1, 3, 9, "0A"
			if len(f) > inode && f[state] == listen && slices.Contains(sockets, f[inode]) {
				addresses = append(addresses, f[local])
			}
		}
	}
	return addresses
}
