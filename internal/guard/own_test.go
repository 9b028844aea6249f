package guard_test

import (
	"net"
	"net/netip"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/postdate/postdate/internal/guard"
)

func TestGuard_NeverDialsItsOwnPorts(t *testing.T) {
	t.Parallel()
	g := guard.New(guard.Config{
		Allow:    []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")},
		OwnPorts: []int{8080, 8233, 7233},
		Deny:     []netip.AddrPort{netip.MustParseAddrPort("10.1.2.3:7233")},
	})
	refused := []string{
		"127.0.0.1:8080", "127.8.8.8:8233", "[::1]:7233", "[::ffff:127.0.0.1]:8080", "0.0.0.0:8080", "[::]:8080",
		"10.1.2.3:7233", "[::ffff:10.1.2.3]:7233",
	}
	for _, addr := range interfaces(t) {
		refused = append(refused, net.JoinHostPort(addr.String(), "8080"))
	}
	for _, target := range refused {
		network := "tcp4"
		if target[0] == '[' {
			network = "tcp6"
		}
		require.ErrorIs(t, g.Control(network, target, nil), guard.ErrRefused, target)
		require.ErrorIs(t, g.CheckURL(&url.URL{Scheme: "http", Host: target}), guard.ErrRefused, target)
	}
	for _, target := range []string{"127.0.0.1:9000", "10.1.2.3:7234", "10.1.2.4:7233", "93.184.215.14:8080"} {
		require.NoError(t, g.Control("tcp4", target, nil), target)
	}
}

// interfaces are the addresses of this machine.
func interfaces(t *testing.T) (own []netip.Addr) {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err == nil && prefix.Addr().Is4() {
			own = append(own, prefix.Addr())
		}
	}
	return own
}
