package guard

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

func control(g *Guard, addr string) error {
	network := "tcp4"
	if netip.MustParseAddr(addr).Is6() {
		network = "tcp6"
	}
	return g.Control(network, netip.AddrPortFrom(netip.MustParseAddr(addr), 443).String(), nil)
}

func TestControl_RefusesWhatIsNotPublic(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for reason, addrs := range map[string][]string{
		"unspecified": {"0.0.0.0", "0.1.2.3", "::"},
		"loopback":    {"127.0.0.1", "127.0.0.2", "127.255.255.255", "::1"},
		"private": {
			"10.0.0.0", "10.255.255.255", "172.16.0.0", "172.31.255.255", "192.168.0.0", "192.168.255.255",
			"fc00::1", "fd12:3456:789a::1", "fdff:ffff::1", "fec0::1",
		},
		"link-local": {"169.254.0.1", "169.254.255.255", "fe80::1", "fe80::1%eth0", "febf::1"},
		"CGNAT":      {"100.64.0.0", "100.127.255.255"},
		"metadata": {
			"169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23",
			"fd20:ce::254", "100.100.100.200", "192.0.0.192", "168.63.129.16", "::ffff:169.254.169.254",
		},
		"multicast":     {"224.0.0.1", "239.255.255.250", "ff02::1", "ff0e::1"},
		"broadcast":     {"255.255.255.255"},
		"documentation": {"192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"},
		"reserved": {
			"192.0.0.1", "192.31.196.1", "192.52.193.1", "192.88.99.1", "192.175.48.1", "198.18.0.1", "198.19.255.255",
			"240.0.0.1", "255.255.255.254", "100::1", "2001:2::1", "2001:10::1", "2001:20::1", "2620:4f:8000::1",
			"5f00::1", "4000::1", "e000::1",
		},
		"IPv4-compatible": {"::127.0.0.1", "::8.8.8.8"},
		"IPv4-translated": {"::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"},
		"NAT64":           {"64:ff9b::127.0.0.1", "64:ff9b::8.8.8.8", "64:ff9b:1::10.0.0.1", "64:ff9b:1:ffff::1"},
		"6to4":            {"2002:7f00:1::", "2002:808:808::1"},
		"Teredo":          {"2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2"},
		"zone":            {"2606:4700::1111%eth0"},
	} {
		for _, addr := range addrs {
			t.Run(addr, func(t *testing.T) {
				t.Parallel()
				err := control(g, addr)
				require.ErrorIs(t, err, ErrRefused)
				require.ErrorContains(t, err, reason)
				require.ErrorContains(t, err, netip.MustParseAddr(addr).Unmap().String())
				require.ErrorContains(t, err, "POSTDATE_ALLOW_NETWORKS")
			})
		}
	}
}

func TestControl_JudgesAMappedAddressAsWhatIsDialled(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for _, addr := range []string{"127.0.0.1", "10.0.0.1", "192.168.1.1", "169.254.1.1", "100.64.0.1", "0.0.0.0", "224.0.0.1"} {
		require.ErrorIs(t, control(g, "::ffff:"+addr), ErrRefused, addr)
	}
	require.NoError(t, control(g, "::ffff:8.8.8.8"))
}

func TestControl_AdmitsThePublicInternetOnAnyPort(t *testing.T) {
	t.Parallel()
	g := New(Config{})
	for _, addr := range []string{
		"1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0", "126.255.255.255",
		"128.0.0.0", "168.63.129.15", "169.253.255.255", "169.255.0.0", "172.15.255.255", "172.32.0.0",
		"192.167.255.255", "192.169.0.0", "198.17.255.255", "198.20.0.0", "223.255.255.255",
		"2001:4860:4860::8888", "2606:4700::1111", "2a00:1450::1", "2003::1",
	} {
		require.NoError(t, control(g, addr))
	}
	for _, port := range []uint16{1, 22, 80, 8080, 65535} {
		require.NoError(t, g.Control("tcp4", netip.AddrPortFrom(netip.MustParseAddr("8.8.8.8"), port).String(), nil))
	}
}

func TestControl_RefusesWhatItCannotJudge(t *testing.T) {
	t.Parallel()
	g := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}})
	for _, c := range [][2]string{
		{"udp4", "8.8.8.8:53"},
		{"unix", "/run/docker.sock"},
		{"ip4", "8.8.8.8"},
		{"tcp4", "8.8.8.8"},
		{"tcp4", "localhost:80"},
		{"tcp4", ""},
		{"tcp4", ":80"},
		{"tcp", "8.8.8.8:80"},
	} {
		require.ErrorIs(t, g.Control(c[0], c[1], nil), ErrRefused, c)
	}
}

func TestNew_AnAllowedNetworkAdmitsJustThat(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		allow    string
		admitted []string
		refused  []string
	}{
		"a network": {
			"10.1.0.0/16",
			[]string{"10.1.0.0", "10.1.255.255", "::ffff:10.1.2.3", "8.8.8.8"},
			[]string{"10.0.255.255", "10.2.0.0", "127.0.0.1", "::10.1.2.3", "64:ff9b::10.1.2.3", "2002:a01:203::"},
		},
		"one address":          {"127.0.0.1/32", []string{"127.0.0.1"}, []string{"127.0.0.2", "::1"}},
		"written unmasked":     {"10.1.2.3/16", []string{"10.1.9.9"}, []string{"10.2.0.0"}},
		"written as mapped":    {"::ffff:10.1.0.0/112", []string{"10.1.2.3", "::ffff:10.1.2.3"}, []string{"10.2.0.0"}},
		"IPv6":                 {"fd00::/8", []string{"fd00::1", "fd00:ec2::254"}, []string{"fc00::1", "fe80::1", "::1"}},
		"link-local, any zone": {"fe80::/10", []string{"fe80::1", "fe80::1%eth0"}, []string{"fec0::1"}},
		"all of IPv4":          {"0.0.0.0/0", []string{"169.254.169.254"}, []string{"::1", "64:ff9b::127.0.0.1"}},
		"all of IPv6":          {"::/0", []string{"::1", "2002:7f00:1::"}, []string{"127.0.0.1", "::ffff:127.0.0.1"}},
		"NAT64, for what is public behind it": {
			"64:ff9b::/96",
			[]string{"64:ff9b::8.8.8.8"},
			[]string{"64:ff9b::127.0.0.1", "64:ff9b::169.254.169.254", "64:ff9b:1::8.8.8.8"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g := New(Config{Allow: []netip.Prefix{netip.MustParsePrefix(c.allow)}})
			for _, addr := range c.admitted {
				require.NoError(t, control(g, addr))
			}
			for _, addr := range c.refused {
				require.ErrorIs(t, control(g, addr), ErrRefused, addr)
			}
		})
	}
}

func TestNew_ANetworkOfNothingAllowsNothing(t *testing.T) {
	t.Parallel()
	g := New(Config{Allow: []netip.Prefix{{}}})
	require.ErrorIs(t, control(g, "127.0.0.1"), ErrRefused)
	require.NoError(t, control(g, "8.8.8.8"))
}
